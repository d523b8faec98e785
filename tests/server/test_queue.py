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
    for name in "aba":
        taken = queue.take()
        assert taken is not None
        assert taken.session == name
        taken.run()
    assert queue.take() is None


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


def test_workers_never_share_a_session() -> None:
    queue = FairQueue(200, 100)
    inside: Counter[str] = Counter()
    most: list[int] = []
    together = threading.Barrier(2)

    def work(job: Job) -> None:
        inside[job.session] += 1
        assert inside[job.session] == 1
        most.append(queue.running)
        if job.session in "xy":  # these two can only end side by side
            together.wait(20)
        inside[job.session] -= 1

    def serve() -> None:
        while (taken := queue.take()) is not None:
            taken.run()

    jobs = [Job(name, work) for name in "xyaaabbbcccaaab"]
    for each in jobs:
        queue.put(each)
    queue.close()
    workers = [threading.Thread(target=serve) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [each.result.exception() for each in jobs] == [None] * len(jobs)
    assert max(most) >= 2
    assert queue.running == 0


def test_taking_waits() -> None:
    queue = FairQueue(9, 9)
    got: list[Job | None] = []
    worker = threading.Thread(target=lambda: got.append(queue.take()))
    worker.start()
    late = job("a")
    queue.put(late)
    worker.join(5)
    assert got == [late]
