"""A structure that a question names outright is told from those that it only mentions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround import anatomy
from mediround.data.words.wording import Speaker
from mediround.session.literal import asked_by_name, passed_over

NAMES = sorted(entity.name for entity in anatomy.load())


@given(st.sampled_from(NAMES), st.integers(0, 10_000))
def test_whatever_the_request_its_name_is_found(name: str, seed: int) -> None:
    query = Speaker("train", np.random.default_rng(seed), anatomy.load()).ask_name(name)
    assert asked_by_name(query) in (name, None)


def test_every_name_of_the_atlas_can_be_asked_for() -> None:
    assert [asked_by_name(f"Please outline the {name}.") for name in NAMES] == NAMES


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Please segment the vertebra T8.", "vertebra T8"),
        ("please outline the gullet", "esophagus"),
        ("Show me the left hippocampus!", "left hippocampus"),
        ("Outline the structure next to the sternum.", None),
        ("What lies around the larynx?", None),
        ("Segment the gland above the right kidney.", None),
        ("Outline the liver and the spleen.", None),
        ("Show me the kidneys.", None),
        ("Anything at all.", None),
    ],
)
def test_what_is_only_mentioned_is_not_asked_for(question: str, name: str | None) -> None:
    assert asked_by_name(question) == name


@pytest.mark.parametrize(
    ("answer", "missed"),
    [
        ("The posterior hippocampus is [1].", True),
        ("There is no left ventricle cavity in this image.", True),
        ("There is no vertebra T8 in this image.", False),
        ("It is [1].", False),
    ],
)
def test_an_answer_about_something_else_passes_it_over(answer: str, missed: bool) -> None:
    found = passed_over("Please segment the vertebra T8.", answer)
    assert found == ("vertebra T8" if missed else None)


@pytest.mark.parametrize(
    ("asked", "said", "near"),
    [
        ("hippocampus", "anterior hippocampus", True),
        ("left hippocampus", "anterior hippocampus", True),
        ("aortic arch", "aorta", True),
        ("median nerve", "nerve", True),
        ("right kidney", "left kidney", False),
        ("left renal artery", "left kidney", False),
    ],
)
def test_a_part_a_whole_or_a_general_name_is_not_something_else(
    asked: str, said: str, *, near: bool
) -> None:
    found = passed_over(f"Please segment the {asked}.", f"The {said} is [1].")
    assert found == (None if near else asked)
