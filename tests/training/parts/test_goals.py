"""Dialogues of like length share a pass; none is lost."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from mediround.training.parts.goals import batches


class _Prompt:
    def __init__(self, length: int) -> None:
        self.ids = [0] * length


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=20), tokens=st.integers(1, 300))
def test_batches_hold_every_dialogue_within_the_limit(lengths: list[int], tokens: int) -> None:
    talks: Any = [(cast(Any, number), _Prompt(length)) for number, length in enumerate(lengths)]
    made: list[list[Any]] = [list(each) for each in batches(talks, tokens)]
    assert sorted(number for batch in made for number, _ in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(len(prompt.ids) for _, prompt in batch)
        assert len(batch) == 1 or longest * len(batch) <= tokens
