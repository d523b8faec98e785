"""Whose turn it is: one job of each session in turn, each session's own jobs in their order.

Several workers may take jobs; two jobs of one session are never done at the same time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mediround.errors import MediRoundError


class BusyError(MediRoundError):
    """More is waiting than may wait; try again after ``retry_after`` seconds."""

    def __init__(self, found: str, *, retry_after: float) -> None:
        super().__init__(found, remedy=f"try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class CancelledError(MediRoundError):
    """A job was called off before it had an effect."""


class Job:
    """Something to do for a session, and what becomes of it.

    Attributes:
        session: whose turn it takes.
        question: whether somebody asked, rather than changed something.
        result: what it returns or raises.

    ``on_start`` is called when its turn has come.
    """

    def __init__(
        self,
        session: str,
        work: Callable[[Job], Any],
        on_start: Callable[[], None] | None = None,
        *,
        question: bool = False,
    ) -> None:
        self.session, self.question = session, question
        self.result: Future[Any] = Future()
        self._on_start = on_start
        self._cancelled = threading.Event()
        self._work = work

    def cancel(self) -> None:
        """Ask it to end; without effect once its effect has been stored."""
        self._cancelled.set()

    def check(self) -> None:
        """Called by the work now and then.

        Raises:
            CancelledError: somebody cancelled.
        """
        if self._cancelled.is_set():
            raise CancelledError("the question was cancelled")

    def run(self) -> None:
        """Do it; whatever happens is in ``result``."""
        if not self.result.set_running_or_notify_cancel():
            return
        try:
            self.check()
            if self._on_start is not None:
                self._on_start()
            done = self._work(self)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self.result.set_exception(error)
        else:
            self.result.set_result(done)


class FairQueue:
    """Jobs of many sessions for a few workers: a session that asks much delays only itself.

    Args:
        most: jobs that may wait in all.
        most_each: of one session.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return sum(len(jobs) for jobs in self._waiting.values())

    def put(self, job: Job) -> None:
        """Line up.

        Raises:
            BusyError: the queue is full or closed.
        """
        with self._changed:
            if self._closed:
                raise BusyError("the server is stopping", retry_after=5)
            jobs = self._waiting.get(job.session, deque())
            everything = sum(len(each) for each in self._waiting.values())
            if everything >= self._most or len(jobs) >= self._most_each:
                raise BusyError("too many questions are waiting", retry_after=2)
            jobs.append(job)
            self._waiting[job.session] = jobs
            self._changed.notify_all()

    def take(self) -> Job | None:
        """The next job of a session that has none running, waited for.

        None once the queue is closed and empty.
        """
        with self._changed:
            while (session := self._next()) is None:
                if self._closed and not self._waiting:
                    return None
                self._changed.wait()
            jobs = self._waiting.pop(session)
            job = jobs.popleft()
            if jobs:
                self._waiting[session] = jobs  # at the end: the others come first
            self._running[session] = job
        job.result.add_done_callback(lambda _: self._done(job))
        return job

    def _next(self) -> str | None:
        return next((name for name in self._waiting if name not in self._running), None)

    def _done(self, job: Job) -> None:
        with self._changed:
            if self._running.get(job.session) is job:
                del self._running[job.session]
            self._changed.notify_all()

    @property
    def running(self) -> int:
        """Jobs that are being done."""
        with self._changed:
            return len(self._running)

    def position(self, job: Job) -> int | None:
        """How many jobs come before ``job``; None when it does not wait any more."""
        with self._changed:
            lines = list(self._waiting.values())
            for place, jobs in enumerate(lines):
                if job in jobs:
                    turn = jobs.index(job)
                    before = sum(
                        min(len(other), turn + (n < place))
                        for n, other in enumerate(lines)
                        if n != place
                    )
                    return before + turn + len(self._running)
            return None

    def busy(self, session: str) -> bool:
        """Whether a question of ``session`` is being answered or waits."""
        return any(job.question for job in self._jobs(session))

    def cancel(self, session: str) -> int:
        """Cancel the questions of ``session`` that run or wait; how many."""
        jobs = [job for job in self._jobs(session) if job.question]
        for job in jobs:
            job.cancel()
        return len(jobs)

    def _jobs(self, session: str) -> list[Job]:
        """What runs or waits of ``session`` and is not done."""
        with self._changed:
            jobs = [*self._waiting.get(session, ())]
            if session in self._running:
                jobs.append(self._running[session])
        return [job for job in jobs if not job.result.done()]

    def close(self) -> None:
        """Take no more; what waits is still done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
