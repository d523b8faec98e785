"""Finished work on disk, so that a killed evaluation goes on where it stopped.

One line of JSON for every finished item, behind a first line that says what is measured. A line
that was torn by the kill is dropped. Another evaluation than the one that wrote the file starts
from nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediround.errors import OutputError

logger = logging.getLogger(__name__)


def fingerprint(content: Any) -> str:
    """SHA-256 of what ``content`` says, the same for equal content."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Results by key, appended as they come.

    Args:
        path: the file; kept when it belongs to this evaluation, else begun anew.
        identity: fingerprint of everything that the results depend on.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.done: dict[str, Any] = {}
        head = {"evaluation": identity}
        lines = _lines(path)
        if lines and lines[0] == head:
            self.done = {line["key"]: line["result"] for line in lines[1:]}
            logger.warning("%d finished parts of an earlier run are taken over", len(self.done))
        try:
            # Written again as a whole: a torn last line must not swallow the next one.
            kept = [head, *({"key": key, "result": each} for key, each in self.done.items())]
            path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        except OSError as error:
            raise _unwritable(path, error) from error

    def add(self, key: str, result: Any) -> None:
        """Remember ``result`` (JSON values) of the item ``key``, on disk before this returns."""
        self.done[key] = result
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "result": result}) + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Remove the file: everything is finished and written elsewhere."""
        self.path.unlink(missing_ok=True)


def _lines(path: Path) -> list[Mapping[str, Any]]:
    """All whole lines; none where there is no file."""
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path.name} cannot be written ({error.strerror})",
        expected="room for what has been measured so far",
    )
