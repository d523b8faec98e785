"""Work that needs a model, done here or by several processes, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import torch

from mediround.session import Model, load

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Told how much of how much is done."""


@dataclass(frozen=True)
class ModelSource:
    """How every process gets its model.

    Attributes:
        name: a preset or a model folder.
        device: see :func:`mediround.load`.
        threads: of each process. Part of the result, since sums depend on it in their last bits;
            the number of processes is not.
        low_bit: see :func:`mediround.load`.
    """

    name: str
    device: str = "auto"
    threads: int = 1
    low_bit: str | None = None


def run(
    work: Callable[[Model, Item], Result],
    items: Sequence[Item],
    source: ModelSource,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    arrived: Callable[[int, Result], None] | None = None,
) -> list[Result]:
    """``work(model, item)`` for every item, in the order of the items.

    Args:
        work: a function of a module, or a ``partial`` of one; it and the items are sent to the
            other processes.
        items: what to do.
        source: the model.
        progress: called after every item.
        workers: processes; with 1 the work is done in this one.
        arrived: called with the place of an item and its result, in their order, before
            ``progress``.
    """
    results: list[Result] = []
    if not items:
        return results
    with _workers(work, items, source, workers) as stream:
        for result in stream:
            results.append(result)
            if arrived is not None:
                arrived(len(results) - 1, result)
            if progress is not None:
                progress(len(results), len(items))
    return results


@contextmanager
def _workers(
    work: Callable[[Model, Item], Result], items: Sequence[Item], source: ModelSource, workers: int
) -> Iterator[Iterator[Result]]:
    if workers == 1:
        before = torch.get_num_threads()
        torch.set_num_threads(source.threads)
        try:
            model = load(source.name, device=source.device, low_bit=source.low_bit)
            yield (work(model, item) for item in items)
        finally:
            torch.set_num_threads(before)
        return
    # Forked processes would share the locks of this process' thread pools.
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start, initargs=(source,)
    )
    try:
        yield pool.map(partial(_call, work), items)
    finally:
        pool.shutdown(cancel_futures=True)


_held: list[Model] = []
"""The model of a worker process, loaded once."""


def _start(source: ModelSource) -> None:
    torch.set_num_threads(source.threads)
    _held.append(load(source.name, device=source.device, low_bit=source.low_bit))


def _call(work: Callable[[Model, Item], Result], item: Item) -> Result:
    return work(_held[-1], item)
