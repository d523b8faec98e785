"""The members of one large JSON object, one at a time.

SA-Med2D-20M lists 4.6 million images in one object; loaded whole it takes several gigabytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mediround.errors import DatasetError

_CHUNK = 1 << 16
_BLANK = re.compile(r"[ \t\n\r]*")
LARGEST_MEMBER = 1 << 26
"""Most characters of one member."""


def json_members(path: Path) -> Iterator[tuple[str, Any]]:
    """Key and value of each member of the object in ``path``, in the order of the file.

    Raises:
        DatasetError: no file, no JSON object, or one that ends too early.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            yield from _members(handle, path.name)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(f"{path.name} cannot be read ({error})") from error


def _members(handle: TextIO, name: str) -> Iterator[tuple[str, Any]]:
    decoder = json.JSONDecoder()
    text = handle.read(_CHUNK)
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise DatasetError(f"{name} holds no JSON object", expected="{…}")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        found = _member(decoder, text, at)
        if found is not None:
            key, value, at = found
            yield key, value
            continue
        more = handle.read(max(_CHUNK, len(text) - at))
        if not more or len(text) - at > LARGEST_MEMBER:
            raise DatasetError(
                f"{name} is no JSON object from {text[at : at + 40]!r} on",
                expected="a complete file",
                remedy="copy or export it again",
            )
        text = text[at:] + more
        at = _skip(text, 0)


def _member(decoder: json.JSONDecoder, text: str, at: int) -> tuple[str, Any, int] | None:
    """The member that begins at ``at`` and where the next one does; None if it is not complete."""
    try:
        key, end = decoder.raw_decode(text, at)
        colon = _skip(text, end)
        if not isinstance(key, str) or text[colon : colon + 1] != ":":
            return None
        value, end = decoder.raw_decode(text, _skip(text, colon + 1))
    except json.JSONDecodeError:
        return None
    # A number may go on in the next chunk; what follows a complete value says that it does not.
    end = _skip(text, end)
    if text[end : end + 1] == ",":
        return key, value, _skip(text, end + 1)
    return (key, value, end) if text[end : end + 1] == "}" else None


def _skip(text: str, at: int) -> int:
    """The next place at or after ``at`` that is no blank."""
    matched = _BLANK.match(text, at)
    return at if matched is None else matched.end()
