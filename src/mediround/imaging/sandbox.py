"""Work on files that strangers sent, in child processes with limits of time and memory.

A decoder that crashes, hangs or swells takes its process with it and nothing else. The children
get no secrets: not this process' environment, and nothing of other people's files.
"""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mediround import errors
from mediround.errors import ImageFileError, InputError
from mediround.imaging.warden import FORKS, ONCE, TIMEOUT

logger = logging.getLogger(__name__)

_SOURCE_ROOT = Path(__file__).resolve().parents[2]
_GRACE_SECONDS = 30.0
"""What a warden may take beyond the limit of its task before it is given up."""


@dataclass(frozen=True, kw_only=True)
class DecodingLimits:
    """What one file may cost: wall-clock and CPU seconds, bytes of address space, of disk."""

    seconds: float = 120.0
    cpu_seconds: int = 60
    memory: int = 6 * 2**30
    unpacked: int = 2 * 2**30


class Sandbox:
    """Does named tasks apart; safe to use from several threads.

    Args:
        at_once: tasks at the same time; more wait. As many helper processes are kept, each
            started at its first task (a second), after which a task costs milliseconds.
        limits: of every task; see the class.

    Attributes:
        peak: most memory that one task held so far, in bytes.
        longest: most CPU time that one task took so far, in seconds.
    """

    def __init__(self, at_once: int = 1, limits: DecodingLimits | None = None) -> None:
        self.limits = limits or DecodingLimits()
        self.peak, self.longest = 0, 0.0
        self._idle: queue.LifoQueue[_Warden | None] = queue.LifoQueue()
        for _ in range(at_once):
            self._idle.put(None)
        self._at_once, self._closed = at_once, False

    def __enter__(self) -> Self:
        """Use it in a ``with`` statement."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, task: str, order: Mapping[str, Any], *, private: tuple[Path, ...]) -> Any:
        """Do one task and return what it returns.

        Args:
            task: ``module:function``, a function of the order that returns JSON or None. Named by
                this program alone, never by what somebody sent.
            order: JSON; the task finds ``limits`` in it too.
            private: folders that are cut from messages.

        Raises:
            InputError: what the task raised, of the same class; an :class:`ImageFileError` where
                it crashed, hung or ran out of memory.
        """
        sent = {
            **order,
            "task": task,
            "limits": asdict(self.limits),
            "private": [str(folder) for folder in private],
        }
        with self._warden() as warden:
            answer = warden.ask(sent, self.limits.seconds + _GRACE_SECONDS)
        self.peak = max(self.peak, int(answer.get("peak", 0)))
        self.longest = max(self.longest, float(answer.get("seconds", 0)))
        if "done" in answer:
            return answer["done"]
        if "refused" in answer:
            raise _refusal(answer["refused"])
        logger.warning("a decoder failed: %s", answer.get("failed"))
        if answer.get("failed") == TIMEOUT:
            raise ImageFileError(
                f"decoding took longer than {self.limits.seconds:g} s",
                remedy="send a smaller or simpler file",
            )
        raise ImageFileError(
            "the file made its decoder fail, or needs too much time or memory",
            expected="a complete, undamaged file",
            remedy="export it again, or send a smaller one",
        )

    def close(self) -> None:
        """End the helper processes; tasks that run are waited for."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._at_once):
            warden = self._idle.get()
            if warden is not None:
                warden.close()

    @contextmanager
    def _warden(self) -> Iterator[_Warden]:
        assert not self._closed
        warden = self._idle.get()
        try:
            if warden is not None and warden.gone:
                warden.close()
                warden = None
            warden = warden or _Warden()
            yield warden
        finally:
            if warden is not None and not FORKS:
                warden.close()
                warden = None
            self._idle.put(warden)


class _Warden:
    """One helper process; used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # -P: a module in the current folder must not stand in for a real one.
            [sys.executable, "-P", "-m", "mediround.imaging.warden", *([] if FORKS else [ONCE])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
            # One thread: a process that forks must have no others.
            env={
                "PYTHONPATH": str(_SOURCE_ROOT),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
            },
        )

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def ask(self, order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """One order, one answer; one that does not answer is ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        try:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(order).encode() + b"\n")
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self.close()
            return {"failed": "the warden ended"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


def _refusal(answer: Mapping[str, str]) -> InputError:
    kind = getattr(errors, answer.get("type", ""), ImageFileError)
    if not (isinstance(kind, type) and issubclass(kind, InputError)):
        kind = ImageFileError
    return kind(
        answer.get("found", ""),
        expected=answer.get("expected", ""),
        remedy=answer.get("remedy", ""),
    )
