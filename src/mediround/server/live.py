"""The sessions that are in memory: a bounded pool; what it drops is rebuilt from disk.

A rebuilt session reads its dialogue again at its next question, which costs time and changes
nothing else.
"""

from __future__ import annotations

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
    """At most ``most`` sessions holding at most ``most_bytes`` of keys and values."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._sessions: OrderedDict[str, Live] = OrderedDict()
        self.evicted = self.rebuilt = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def kept_bytes(self) -> int:
        """Memory of all keys and values."""
        return sum(live.session.kept_bytes for live in list(self._sessions.values()))

    def get(self, stored: Stored, build: Callable[[Stored], Session]) -> Live:
        """The session as ``stored``; built if it is not here, or here in another state."""
        live = self._sessions.get(stored.id)
        if live is None or live.revision != stored.revision:
            self.drop(stored.id)
            live = Live(build(stored), stored.revision)
            self._sessions[stored.id] = live
            self.rebuilt += 1
        self._sessions.move_to_end(stored.id)
        return live

    def drop(self, session: str) -> None:
        """Forget one."""
        self._sessions.pop(session, None)

    def clear(self) -> None:
        """Forget all."""
        self._sessions.clear()

    def trim(self) -> None:
        """Forget the longest unused ones beyond the bounds, never the last used."""
        while len(self._sessions) > 1 and (
            len(self._sessions) > self._most or self.kept_bytes > self._most_bytes
        ):
            self._sessions.popitem(last=False)
            self.evicted += 1
