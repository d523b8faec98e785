"""Names of labels, as many tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.sources.pictures import written

from mediround.data.sources.label_names import read_names
from mediround.errors import DatasetError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"1": "liver", "5": "left kidney"}'),
        ("b.json", '{"background": 0, "liver": 1, "kidney_left": 5}'),
        ("c.json", '{"labels": {"0": "background", "1": "Liver", "5": "Left-Kidney"}}'),
        ("d.txt", "# a comment\n0 Unknown 0 0 0 0\n1 Liver 255 0 0 0\n5 Left-Kidney 1 2 3 0\n"),
        (
            "e.txt",
            '0 0 0 0 0 0 0 "Clear Label"\n1 255 0 0 1 1 1 "liver"\n5 9 9 9 1 1 1 "left kidney"',
        ),
        ("f.csv", "label,name\n1,liver\n5,left kidney\n"),
        ("g.tsv", "1\tliver\n5\tleft kidney\n"),
        ("h.txt", "1: liver\n5: left kidney\n"),
    ],
)
def test_names_files_of_many_tools(tmp_path: Path, name: str, text: str) -> None:
    assert read_names(written(tmp_path / name, text)) == {"1": "liver", "5": "left kidney"}


def test_a_list_of_names_counts_from_one_or_from_the_background(tmp_path: Path) -> None:
    assert read_names(written(tmp_path / "a.json", ["liver", "spleen"])) == {
        "1": "liver",
        "2": "spleen",
    }
    listed = written(tmp_path / "b.json", ["background", "liver", "spleen"])
    assert read_names(listed) == {"1": "liver", "2": "spleen"}


@pytest.mark.parametrize("text", ["", "liver", "[1, 2]", '{"a": {"b": 1}}', '{"0": "background"}'])
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, text: str) -> None:
    for name in ("a.json", "a.txt"):
        if (name, text) == ("a.txt", '{"a": {"b": 1}}'):
            continue
        with pytest.raises(DatasetError, match=name):
            read_names(written(tmp_path / name, text))
