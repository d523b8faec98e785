"""Rewritten questions on disk, so that a second build sends nothing and gives the same words."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from mediround.errors import OutputError

_BUSY_SECONDS = 60.0  # several processes of one build write to the same file
_MOST_VARIABLES = 500


def cache_key(model: str, prompt: str, question: str, manner: str) -> str:
    """Names what a model makes of ``question`` under ``prompt`` in a ``manner`` of speaking."""
    return hashlib.sha256(json.dumps([model, prompt, question, manner]).encode()).hexdigest()


class RewriteCache:
    """Key -> what the model wrote, whether or not it passed the checks; an SQLite file.

    Args:
        path: the file, made with its folder when missing; None keeps everything in memory.

    Raises:
        OutputError: the file cannot be opened or written, or is no SQLite file.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS)
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS rewrites (key TEXT PRIMARY KEY, text TEXT NOT NULL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def get(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts of those ``keys`` that are known."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _MOST_VARIABLES):
            some = wanted[start : start + _MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT key, text FROM rewrites WHERE key IN ({marks})",  # noqa: S608  # marks only
                some,
            )
            found.update(rows)
        return found

    def put(self, texts: Mapping[str, str]) -> None:
        """Keep ``texts``; a key that another process wrote meanwhile keeps its text."""
        try:
            with self._database:
                self._database.executemany(
                    "INSERT OR IGNORE INTO rewrites VALUES (?, ?)", texts.items()
                )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unusable(self, error: Exception) -> OutputError:
        return OutputError(
            f"the cache of rewritten questions {self.path} cannot be used: {error}",
            remedy="give another file, or delete this one",
        )
