"""The examples of a run's steps, prepared in the background while the step before is computed."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from mediround.training.staged.buckets import Drawn, Plan, share
from mediround.training.staged.example import Example
from mediround.training.staged.examples import Examples
from mediround.training.staged.talks import Talk

Held = dict[Drawn, Example]


class Supply:
    """One process' examples, step by step.

    Args:
        examples: makes them.
        talks: of which.
        plan: which of them belong to which step.
        process, processes: which of how many processes this is.
        prefetch: prepare the next step's in a thread.
        autocast: entered around what is computed, in whichever thread that is.
    """

    def __init__(
        self,
        examples: Examples,
        talks: Sequence[Talk],
        plan: Plan,
        *,
        process: int,
        processes: int,
        prefetch: bool,
        autocast: Any,
    ) -> None:
        self.examples, self.talks, self.plan = examples, talks, plan
        self.process, self.processes = process, processes
        self._autocast = autocast
        self._pool = ThreadPoolExecutor(1) if prefetch else None
        self._next: tuple[int, Future[Held]] | None = None

    def take(self, step: int, steps: int) -> Held:
        """This process' examples of a step; those of the next are begun, if it is below ``steps``.

        The same drawing twice in a step is made once.
        """
        if self._pool is None:
            return self._make(step)
        waiting, self._next = self._next, None
        held = (
            waiting[1].result() if waiting is not None and waiting[0] == step else self._make(step)
        )
        if step + 1 < steps:
            self._next = (step + 1, self._pool.submit(self._make, step + 1))
        return held

    def close(self) -> None:
        """Stop the thread."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, step: int) -> Held:
        own = share(self.plan.step(step), self.process, self.processes)
        context: AbstractContextManager[Any] = self._autocast()
        with context:
            return {
                drawn: self.examples.make(self.talks[drawn.number], drawn.view) for drawn in own
            }
