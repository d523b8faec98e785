"""Pools give every result once, however many workers there are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mediround.data.building.scale import Inline, Processes, pool_of
from mediround.errors import MediRoundError


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    os._exit(number)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_result_comes_once(workers: int) -> None:
    results = list(pool_of(workers).run(square, range(20)))
    assert sorted(results) == [n * n for n in range(20)]


def test_tasks_are_drawn_only_as_workers_need_them() -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    results = Processes(2).run(square, tasks())
    next(results)
    assert len(drawn) <= 5
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 5


def test_one_worker_needs_no_process() -> None:
    assert isinstance(pool_of(1), Inline)


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(MediRoundError, match="a worker process died.*run the same command again"):
        list(Processes(2).run(die, [3]))
