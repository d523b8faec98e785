"""Files that say what labels are called: JSON, tables, label descriptions of other tools.

Read are ``{"1": "liver"}``, ``{"liver": 1}``, either below a key ``labels`` or ``names``, a list
of names (counted from 1, or from 0 if the first is the background), and text with one label a
line: a number or key, then the name, divided by comma, tab, semicolon or spaces. Colours may stand
after the name (FreeSurfer) or before a quoted name (ITK-SNAP); ``#`` begins a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mediround.data.sources.label_table import canonical
from mediround.errors import DatasetError

FILES: Final = (
    "names.json",
    "names.csv",
    "names.tsv",
    "names.txt",
    "labels.json",
    "labels.csv",
    "labels.tsv",
    "labels.txt",
    "dataset.json",
)
"""Names under which a folder's names file is found."""

_BACKGROUND: Final = frozenset({"background", "bg", "clear label", "unknown", "none"})
_KEY = r"""^\s*["']?([\w.\-]+)["']?\s*[:,;\t ]"""
_QUOTED = re.compile(_KEY + r"""(?:.*[,;\t ])?\s*["']([^"']+)["']\s*$""")
_PLAIN = re.compile(_KEY + r"\s*(.+?)(?:[,;\t ]+-?\d+(?:\.\d+)?){0,6}\s*$")


def find_names_file(folder: Path) -> Path | None:
    """The names file of a folder, None if it has none."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def read_names(path: Path) -> dict[str, str]:
    """Key (a label value, or a word in file names) -> canonical name, without the background.

    Raises:
        DatasetError: missing, unreadable, empty, or a line that is no label.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        named = _from_json(json.loads(text)) if path.suffix == ".json" else _from_text(text)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path.name} cannot be used as a list of labels ({error})",
            expected='for instance {"1": "liver"}, or lines such as "1 liver"',
        ) from error
    found = {
        key: canonical(name)
        for key, name in named.items()
        if key != "0" and name.strip().lower() not in _BACKGROUND
    }
    if not found:
        raise DatasetError(f"{path.name} names no label", expected="at least one")
    return found


def numbered(names: Mapping[str, str], file: str) -> dict[int, str]:
    """The names of label values.

    Raises:
        DatasetError: a key is no positive number.
    """
    try:
        found = {int(key): name for key, name in names.items()}
    except ValueError as error:
        raise DatasetError(
            f"{file} gives names to {', '.join(list(names)[:5])}", expected="label values"
        ) from error
    if min(found) < 1:
        raise DatasetError(f"{file} names the label {min(found)}", expected="1 or more")
    return found


def _from_json(listed: Any) -> dict[str, str]:
    if isinstance(listed, dict):
        inner = listed.get("labels", listed.get("names"))
        if isinstance(inner, dict | list):
            return _from_json(inner)
    if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
        start = 0 if listed and listed[0].strip().lower() in _BACKGROUND else 1
        return {str(number): name for number, name in enumerate(listed, start=start)}
    if not isinstance(listed, dict):
        raise ValueError(f"a JSON {type(listed).__name__}")
    if all(_is_number(value) for value in listed.values()):
        return {str(int(value)): name for name, value in listed.items()}
    if not all(isinstance(value, str) for value in listed.values()):
        raise ValueError("values that are neither names nor numbers")
    return {str(int(key)) if _is_number(key) else key: name for key, name in listed.items()}


def _from_text(text: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _QUOTED.match(line) or _PLAIN.match(line)
        if found is None:
            raise ValueError(f"line {number} is {line.strip()[:40]!r}")
        key, name = found.group(1), found.group(2).strip().strip("\"'")
        if number == 1 and not _is_number(key) and name.lower() in ("name", "label", "structure"):
            continue
        named[str(int(key)) if _is_number(key) else key] = name
    return named


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.strip().isdecimal()
    )
