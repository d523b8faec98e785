"""Structures of a head are recognised by names, and by what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from mediround import anatomy
from mediround.data.words import wording
from mediround.session.head_words import HeadWords

PAIRED = ("thalamus", "caudate nucleus", "putamen", "globus pallidus", "hippocampus", "amygdala")
NAMES = (
    *(f"{side} {name}" for name in PAIRED for side in ("left", "right")),
    *("third ventricle", "fourth ventricle", "brainstem"),
)


@pytest.fixture(scope="module")
def head_words() -> HeadWords:
    return HeadWords(NAMES)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Trace the borders of the left putamen.", ["left putamen"]),
        ("Segment the caudate", ["left caudate nucleus", "right caudate nucleus"]),
        ("hippocampi, please", ["left hippocampus", "right hippocampus"]),
        ("The left pallidum and the right thalamus.", ["left globus pallidus", "right thalamus"]),
        ("left and right putamen", ["left putamen", "right putamen"]),
        ("The nucleus lateral to the left pallidum", ["left putamen"]),
        ("The left-sided nucleus between the insula and the globus pallidus", ["left putamen"]),
        ("Any chance you could spot the right-sided centre of fear?", ["right amygdala"]),
        ("Almond-shaped centre of fear on the right", ["right amygdala"]),
        ("The seat of fear, an almond", ["left amygdala", "right amygdala"]),
    ],
)
def test_what_a_question_means(head_words: HeadWords, question: str, names: list[str]) -> None:
    meant, certainty = head_words.meant(question)
    assert meant == names
    assert certainty > 0.5


@pytest.mark.parametrize("question", ["What is that?", "Is this normal?", "Please outline it."])
def test_what_says_nothing_of_a_structure_is_not_read(head_words: HeadWords, question: str) -> None:
    assert head_words.meant(question)[1] < 0.5


def test_another_name_is_no_description(head_words: HeadWords) -> None:
    """However much the words around it sound like one."""
    assert head_words.meant("The left ovary, that almond-shaped organ") == (["left ovary"], 1.0)


@pytest.mark.parametrize("split", ["heldout", "fresh"])
def test_names_are_read_in_any_request(head_words: HeadWords, split: wording.Split) -> None:
    speaker = wording.Speaker(split, np.random.default_rng(0), anatomy.load())
    for name in NAMES:
        for _ in range(10):
            question = speaker.ask_name(name)
            assert head_words.meant(question) == ([name], 1.0), question


def test_most_unheard_descriptions_are_understood(head_words: HeadWords) -> None:
    atlas = anatomy.load()
    right = []
    for name in NAMES:
        for text in wording.descriptions(name, "heldout", atlas):
            meant, certainty = head_words.meant(f"Segment the {text}.")
            right.append(meant == [name] and certainty > 0.5)
    assert np.mean(right) > 0.6
