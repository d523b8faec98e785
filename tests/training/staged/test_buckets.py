"""Which dialogues belong to a step: each once a round, like lengths together, whoever computes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.training.staged.buckets import Plan, cut, padding, passes, share
from mediround.training.staged.examples import Size

sizes = st.lists(
    st.integers(1, 400).map(lambda n: Size(length=n, words=n // 2, masks=n % 4)),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(1, 6), st.integers(1, 4), st.integers(0, 9))
def test_every_dialogue_comes_once_a_round(
    held: list[Size], dialogues: int, bucket: int, seed: int
) -> None:
    plan = Plan(held, dialogues=dialogues, views=1, bucket_steps=bucket, seed=seed)
    window = dialogues * bucket
    steps = -(-len(held) // window) * bucket  # whole windows that hold at least one round
    counts = Counter(drawn.number for step in range(steps) for drawn in plan.step(step))
    assert sum(counts.values()) == steps * dialogues
    assert set(counts) == set(range(len(held)))
    assert max(counts.values()) - min(counts.values()) <= 1


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(0, 99))
def test_a_step_is_the_same_whenever_it_is_asked_for(held: list[Size], seed: int) -> None:
    plan = Plan(held, dialogues=3, views=4, bucket_steps=2, seed=seed)
    later = Plan(held, dialogues=3, views=4, bucket_steps=2, seed=seed)
    forwards = [plan.step(number) for number in range(9)]
    backwards = [later.step(number) for number in reversed(range(9))]
    assert forwards == backwards[::-1]
    assert all(0 <= drawn.view < 4 for step in forwards for drawn in step)


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 900))
def test_processes_and_passes_share_out_a_step(
    held: list[Size], each: int, processes: int, most: int, tokens: int
) -> None:
    plan = Plan(held, dialogues=each * processes, views=1, bucket_steps=2, seed=0)
    step = plan.step(5)
    shared = [
        passes(step, process, processes, most=most, tokens=tokens) for process in range(processes)
    ]
    assert len({len(own) for own in shared}) == 1  # collective operations need equally many
    flat = [drawn for own in shared for one in own for drawn in one]
    assert Counter(flat) == Counter(step)
    for one in (one for own in shared for one in own):
        longest = max(drawn.size.length for drawn in one)
        assert 1 <= len(one) <= most
        assert len(one) == 1 or longest * len(one) <= tokens


@settings(deadline=None, max_examples=40)
@given(sizes)
def test_sorting_saves_padding(held: list[Size]) -> None:
    dialogues = 4
    sorted_plan = Plan(held, dialogues=dialogues, views=1, bucket_steps=8, seed=1)
    plain = Plan(held, dialogues=dialogues, views=1, bucket_steps=1, seed=1)

    def wasted(plan: Plan) -> float:
        steps = [plan.step(number) for number in range(8)]
        return padding([one for step in steps for one in cut(step, most=4, tokens=10**9)])

    assert 0 <= wasted(sorted_plan) <= wasted(plain) + 1e-9


def test_long_dialogues_come_first_and_alone() -> None:
    plan = Plan(
        [Size(10, 1, 1), Size(500, 1, 1), Size(20, 1, 1)],
        dialogues=3, views=1, bucket_steps=1, seed=0,
    )  # fmt: skip
    own = cut(share(plan.step(0), 0, 1), most=8, tokens=100)
    assert [[drawn.size.length for drawn in one] for one in own] == [[500], [10, 20]]
