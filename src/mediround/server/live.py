"""The sessions that are in memory: a bounded pool; what it drops is rebuilt from disk.

A rebuilt session reads its dialogue again at its next question, which costs time and changes
nothing else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mediround.server.history import Stored
from mediround.session.engine import Session


@dataclass
class Live:
    """A session in memory, and the revision on disk that it is the same as."""

    session: Session
    revision: int


class LivePool:
    """At most ``most`` sessions holding at most ``most_bytes`` of keys and values.

    Args:
        most: sessions.
        most_bytes: of all of them.

    Attributes:
        least: of the last used ones that stay whatever they hold, since they may be in use.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self.least = 1
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Live] = OrderedDict()
        self.evicted = self.rebuilt = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def kept_bytes(self) -> int:
        """Memory of all keys and values."""
        return sum(live.session.kept_bytes for live in list(self._sessions.values()))

    def get(self, stored: Stored, build: Callable[[Stored], Session]) -> Live:
        """The session as ``stored``; built if it is not here, or here in another state.

        Of one session at a time, of several at once: building takes long, and locks nobody out.
        """
        with self._lock:
            live = self._sessions.pop(stored.id, None)
            if live is not None and live.revision == stored.revision:
                self._sessions[stored.id] = live  # at the end: the last used
                return live
        live = Live(build(stored), stored.revision)
        with self._lock:
            self._sessions[stored.id] = live
            self.rebuilt += 1
        return live

    def drop(self, session: str) -> None:
        """Forget one."""
        with self._lock:
            self._sessions.pop(session, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._sessions.clear()

    def trim(self) -> None:
        """Forget the longest unused ones beyond the bounds, never the last used."""
        with self._lock:
            while len(self._sessions) > self.least and (
                len(self._sessions) > self._most or self.kept_bytes > self._most_bytes
            ):
                self._sessions.popitem(last=False)
                self.evicted += 1
