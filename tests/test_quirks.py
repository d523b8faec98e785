"""Options for what the official release does, and the page that explains them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from mediround.quirks import OfficialQuirks

PAGE = Path(__file__).parents[1] / "docs" / "official.md"
NAMES = [field.name for field in dataclasses.fields(OfficialQuirks)]


def rows() -> dict[int, list[str]]:
    found = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    return {int(number): [cell.strip() for cell in rest.split(" | ")] for number, rest in found}


def test_right_is_the_default_and_all_is_all() -> None:
    assert not any(dataclasses.asdict(OfficialQuirks()).values())
    assert all(dataclasses.asdict(OfficialQuirks.all()).values())


def test_the_page_has_a_row_for_each_finding() -> None:
    assert list(rows()) == list(range(1, 29))
    assert {len(cells) for cells in rows().values()} == {3}


def test_every_option_is_in_a_row_and_every_row_s_option_exists() -> None:
    named = {name for _, _, option in rows().values() for name in re.findall(r"`(\w+)`", option)}
    assert named == set(NAMES)


def test_every_option_is_described() -> None:
    text = OfficialQuirks.__doc__ or ""
    assert [name for name in NAMES if f"{name}:" not in text] == []
