"""The same work on a Ray cluster: on this machine, or on many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mediround.errors import DependencyError, MediRoundError

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

_AHEAD = 2  # tasks handed out per CPU
_STARTS = 3  # Ray gives its node 30 seconds, which nothing configures; a busy machine needs more
_LATE = "timed out during startup"


class RayCluster:
    """A pool (see :class:`mediround.data.building.scale.Pool`) of Ray workers.

    Workers compute and send results back; they must see the labelled images under the same path,
    and nothing else of the disk.

    Args:
        workers: CPUs of a local cluster, which ends with the work.
        address: of a running cluster, or "auto"; None starts a local one.

    Raises:
        DependencyError: ray is not installed.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise DependencyError(
                "ray is not installed",
                expected="ray for --ray",
                remedy="pip install 'mediround[ray]'",
            ) from error
        self._ray: Any = ray
        self.workers, self.address = workers, address

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See :class:`mediround.data.building.scale.Pool`.

        Raises:
            MediRoundError: the cluster cannot be reached, or a task failed on it.
        """
        ray = self._ray
        self._connect()
        try:
            yield from self._gather(function, tasks)
        except ray.exceptions.RayError as error:
            raise MediRoundError(
                f"a task failed on the Ray cluster ({type(error).__name__})",
                remedy="run the same command again; it goes on where it was",
            ) from error
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        ray = self._ray
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        wanted: dict[str, object]
        if self.address is not None:
            attempts, wanted = 1, {"address": self.address}
        else:
            attempts, wanted = _STARTS, {"num_cpus": self.workers, "include_dashboard": False}
        for left in reversed(range(attempts)):
            try:
                ray.init(**wanted, **quiet)
            except Exception as error:
                # Ray raises this very class when a node is late.
                ray.shutdown()
                if left and _LATE in str(error):
                    logger.warning("Ray's node is late; starting it again")
                    continue
                raise MediRoundError(
                    f"no Ray cluster answers at {self.address or 'this machine'} ({error})",
                    remedy="start one with 'ray start --head', or leave --ray out",
                ) from error
            return

    def _gather(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        ray = self._ray
        remote = ray.remote(num_cpus=1)(function)
        limit = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", self.workers)))
        running: list[Any] = []
        for task in tasks:
            running.append(remote.remote(task))
            if len(running) >= limit:
                done, running = ray.wait(running)
                yield from ray.get(done)
        while running:
            done, running = ray.wait(running)
            yield from ray.get(done)
