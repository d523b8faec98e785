"""How often one user may come: a bucket of tokens that fills steadily."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_REMEMBERED = 10_000


class Buckets:
    """A bucket for each key.

    Args:
        rate: tokens a second.
        burst: tokens of a full bucket.
        clock: seconds, for tests.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take a token; 0, or the seconds after which there is one again."""
        with self._lock:
            now = self._clock()
            level, at = self._levels.pop(key, (float(self._burst), now))
            level = min(float(self._burst), level + (now - at) * self._rate)
            wait = 0.0 if level >= 1 else (1 - level) / self._rate
            self._levels[key] = (level - 1 if wait == 0 else level, now)
            while len(self._levels) > _REMEMBERED:
                self._levels.popitem(last=False)
            return wait
