"""Entities named in running text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mediround import anatomy
from mediround.anatomy.naming import words

ATLAS = anatomy.load()
SPOKEN = [(name, entity.name) for entity in ATLAS for name in entity.spoken_names]


def test_every_spoken_name_is_recognised_as_its_entity_alone() -> None:
    wrong = [name for name, canonical in SPOKEN if ATLAS.recognise(name) != (canonical,)]
    assert wrong == []


@given(st.sampled_from(SPOKEN), st.sampled_from([str.upper, str.title, str.casefold]))
def test_recognised_inside_a_sentence_whatever_its_case(
    spoken: tuple[str, str], change: Callable[[str], str]
) -> None:
    name, canonical = spoken
    assert ATLAS.recognise(f"It is [SEG], the {change(name)}.") == (canonical,)


@given(st.lists(st.sampled_from(ATLAS.names()), max_size=5))
def test_enumerations_keep_order_and_drop_repeats(names: list[str]) -> None:
    assert ATLAS.recognise(", ".join(names)) == tuple(dict.fromkeys(names))


@given(st.text())
def test_any_text_gives_canonical_names(text: str) -> None:
    assert set(ATLAS.recognise(text)) <= set(ATLAS.names())


@given(st.text())
@example("\U0001d56c")  # a mathematical A, which decomposes into a capital
def test_words_are_stable(text: str) -> None:
    once = words(text)
    assert words(" ".join(once)) == once


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The spleen and both lungs.", ("spleen", "left lung", "right lung")),
        ("left and right kidney", ("left kidney", "right kidney")),
        ("right and left adrenal glands", ("left adrenal gland", "right adrenal gland")),
        ("the left atrial appendage", ("left atrial appendage",)),
        ("the liver's shadow", ("liver",)),
        ("delivery of brainstorms", ()),
        ("left. Kidney", ()),
        ("peritumoral edema", ("peritumoral oedema",)),
        ("T1 weighted, L5 filter", ()),
        ("the sciatic nerve", ("sciatic nerve",)),
        ("kidney left of the aorta", ("aorta",)),
        ("", ()),
    ],
)
def test_examples(text: str, names: tuple[str, ...]) -> None:
    assert ATLAS.recognise(text) == names
