"""Many tasks on several workers: in this process, in processes beside it, or on a Ray cluster.

A pool promises every result once, in the order in which they are finished. Whoever uses it must
not let its output depend on that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Protocol, TypeVar

from mediround.errors import MediRoundError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # tasks handed out per worker, so that none waits and memory stays flat


class Pool(Protocol):
    """Runs one function over many tasks; both can be pickled."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Results in the order in which they are finished; ``tasks`` is drawn from lazily."""
        ...


class Inline:
    """No workers: everything in this process, in order."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See :class:`Pool`."""
        return map(function, tasks)


class Processes:
    """Worker processes on this machine.

    Args:
        workers: how many, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See :class:`Pool`.

        Raises:
            MediRoundError: a worker died.
        """
        # Not forked: a child of a process with threads may inherit a lock that nobody opens.
        pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))
        left = iter(tasks)
        running: set[Future[R]] = set()
        try:
            while True:
                for task in left:
                    running.add(pool.submit(function, task))
                    if len(running) >= _AHEAD * self.workers:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        except BrokenProcessPool as error:
            raise MediRoundError(
                "a worker process died, perhaps because memory ran out",
                remedy="run the same command again, with fewer --workers; it goes on where it was",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def pool_of(workers: int) -> Pool:
    """The pool for ``workers`` processes on this machine; 1 needs no second process."""
    return Inline() if workers == 1 else Processes(workers)
