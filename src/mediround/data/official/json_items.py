"""A JSON file of many items, read and written one item at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mediround.errors import DatasetError

_CHUNK = 2**20
_LONGEST_ITEM = 2**26
_SPACES = " \t\r\n"


def read_items(path: Path) -> Iterator[Any]:
    """The items of a JSON list, or the one object that the file holds.

    The official loader needs a list; the sample that comes with it is a single object.

    Raises:
        DatasetError: the file cannot be read, or is no JSON list or object.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            text = handle.read(_CHUNK).lstrip("\ufeff" + _SPACES)
            if text.startswith("["):
                yield from _items(path, handle, text[1:])
            elif text.startswith("{"):
                yield json.loads(text + handle.read(_LONGEST_ITEM))
            else:
                raise _damaged(path, "no list and no object")
    except OSError as error:
        raise DatasetError(f"{str(path)!r} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


class ItemWriter:
    """Writes a JSON list to an open binary file, an item a line; ``close`` ends the list."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.written = 0

    def write(self, item: Any) -> None:
        """Add one item."""
        line = json.dumps(item, ensure_ascii=False)
        self._handle.write((",\n" if self.written else "[\n").encode() + line.encode())
        self.written += 1

    def close(self) -> None:
        """End the list; an empty one is valid too."""
        self._handle.write(b"\n]\n" if self.written else b"[]\n")


class _Stream:
    """What of a list has been read and not yet been decoded."""

    def __init__(self, path: Path, handle: TextIO, text: str) -> None:
        self._path, self._handle = path, handle
        self._text = text
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next sign that is no space; "" at the end of the file."""
        self._text = self._text.lstrip(_SPACES)
        while not self._text:
            more = self._handle.read(_CHUNK)
            if not more:
                return ""
            self._text = more.lstrip(_SPACES)
        return self._text[0]

    def skip(self) -> None:
        """Pass over the sign that was peeked at."""
        self._text = self._text[1:]

    def item(self) -> Any:
        """Decode one value, reading on until it is complete."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text)
            except ValueError as error:
                # Perhaps the rest is missing only; each time twice as much is read.
                more = self._handle.read(max(_CHUNK, len(self._text)))
                if not more or len(self._text) > _LONGEST_ITEM:
                    raise _damaged(self._path, str(error)) from error
                self._text += more
            else:
                self._text = self._text[end:]
                return value


def _items(path: Path, handle: TextIO, text: str) -> Iterator[Any]:
    stream = _Stream(path, handle, text)
    if stream.peek() == "]":
        stream.skip()
    else:
        yield stream.item()
        while (sign := stream.peek()) == ",":
            stream.skip()
            yield stream.item()
        if sign != "]":
            raise _damaged(path, f"{sign or 'its end'!r} where ',' or ']' is expected")
        stream.skip()
    if stream.peek():
        raise _damaged(path, "something follows the list")


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(
        f"{path.name!r} is not a file of dialogues: {what}",
        expected="a JSON list of dialogues",
    )
