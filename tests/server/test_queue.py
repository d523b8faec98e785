"""Whose turn it is."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.server.queue import BusyError, CancelledError, FairQueue, Job


def job(session: str, *, question: bool = True) -> Job:
    return Job(session, lambda job: job.session, question=question)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_sessions_take_turns_and_each_keeps_its_order(sessions: list[str]) -> None:
    queue = FairQueue(100, 100)
    jobs = [job(name) for name in sessions]
    for each in jobs:
        queue.put(each)
    places = [queue.position(each) for each in jobs]
    served = []
    for _ in jobs:
        taken = queue.take()
        assert taken is not None
        served.append(taken)
        taken.run()
    for name in set(sessions):
        assert [j for j in served if j.session == name] == [j for j in jobs if j.session == name]
    # Nobody is served twice while somebody else waits who was there all the time.
    left = Counter(sessions)
    seen: Counter[str] = Counter()
    for each in served:
        seen[each.session] += 1
        left[each.session] -= 1
        assert all(seen[other] >= seen[each.session] - 1 for other in left if left[other])
    assert places == [served.index(each) for each in jobs]


def test_full_and_closed_queues_refuse() -> None:
    queue = FairQueue(3, 2)
    queue.put(job("a"))
    queue.put(job("a"))
    with pytest.raises(BusyError):
        queue.put(job("a"))
    queue.put(job("b"))
    with pytest.raises(BusyError):
        queue.put(job("c"))
    queue.close()
    with pytest.raises(BusyError, match="stopping"):
        queue.put(job("d"))
    assert [queue.take() is None for _ in range(4)] == [False, False, False, True]


def test_only_questions_are_cancelled() -> None:
    queue = FairQueue(9, 9)
    asked, changed = job("a"), job("a", question=False)
    for each in (asked, changed):
        queue.put(each)
    assert queue.busy("a")
    assert queue.cancel("a") == 1
    for _ in range(2):
        taken = queue.take()
        assert taken is not None
        taken.run()
    with pytest.raises(CancelledError):
        asked.result.result()
    assert changed.result.result() == "a"
    assert not queue.busy("a")


def test_taking_waits() -> None:
    queue = FairQueue(9, 9)
    got: list[Job | None] = []
    worker = threading.Thread(target=lambda: got.append(queue.take()))
    worker.start()
    late = job("a")
    queue.put(late)
    worker.join(5)
    assert got == [late]
