from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wordings import wordings

from mediround import anatomy
from mediround.data.scene.relations import FACT_KINDS, RelationKind
from mediround.data.words import wording
from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import QueryError, UnknownReferenceError
from mediround.session.query import LONGEST, resolve

SPLITS: tuple[wording.Split, ...] = ("train", "heldout")
KINDS: list[tuple[str, str | None]] = [
    *((kind, None) for kind in (wording.NAME, wording.DESCRIBE, wording.PAIR)),
    *((kind.value, None) for kind in RelationKind if kind is not RelationKind.FACT),
    *((RelationKind.FACT.value, fact) for fact in sorted(FACT_KINDS)),
]


def entity(number: int, **fields: object) -> Entity:
    return Entity.from_mask(number, np.eye(4, dtype=bool), **fields)


def answered(text: str, *new: Entity) -> Round:
    return Round(query="?", text=text, entities=new)


# [1] is given, round 1 draws [2], round 2 draws [3] and [4], round 3 finds [5] absent.
DIALOGUE = Dialogue(
    given=(entity(1, status="given"),),
    rounds=(
        answered("It is [2].", entity(2)),
        answered("The liver is [3] and the spleen is [4].", entity(3), entity(4)),
        answered("There is no brain in this image.", Entity(id=5, status="absent")),
    ),
)
EMPTY = Dialogue()
PIECES = [
    *[
        "it",
        "[2]",
        "[9]",
        "mask",
        "round",
        "'s",
        "output",
        "2",
        "1",
        "of",
        "the",
        "that",
        "one",
        "last",
        "[",
        "]",
        "and",
        "around",
    ]
]


@pytest.mark.parametrize(
    ("query", "resolved"),
    [
        ("The other side of [2]", "The other side of [2]"),
        ("  beside [2] and [3]\n", "beside [2] and [3]"),
        ("beside instance 2", "beside [2]"),
        ("beside Instance 2.", "beside [2]."),
        ("the counterpart of mask 3, please", "the counterpart of [3], please"),
        ("between entity 1 and region 4", "between [1] and [4]"),
        ("left of the structure #2", "left of [2]"),
        ("left of mask number 2", "left of [2]"),
        ("left of mask no. 2", "left of [2]"),
        ("what is object 2?", "what is [2]?"),
        ("near round 1's output", "near [2]"),
        ("near round 1’s result", "near [2]"),
        ("near the output of round 1", "near [2]"),
        ("near the mask from round 1", "near [2]"),
        ("what is it?", "what is [4]?"),
        ("What's it?", "What's [4]?"),
        ("the structure behind it", "the structure behind [4]"),
        ("the organ that drains it", "the organ that drains [4]"),
        ("the organ with the largest contact to it", "the organ with the largest contact to [4]"),
        ("the organ draining into it", "the organ draining into [4]"),
        ("the counterpart of that one", "the counterpart of [4]"),
        ("left of the last mask", "left of [4]"),
        ("left of the previous one", "left of [4]"),
        ("between [2] and it", "between [2] and it"),
    ],
)
def test_what_people_write_for_a_reference(query: str, resolved: str) -> None:
    assert resolve(query, DIALOGUE) == resolved


@pytest.mark.parametrize(
    "query",
    [
        "Segment 2 kidneys.",
        "Outline the liver segment 4.",
        "the structure 2 cm below the liver",
        "a mask 1.5 times as large",
        "the region 3 mm wide",
        "for instance 2 kidneys",
        "Segment the liver and fill it.",
        "Segment the tumour and the swelling around it.",
        "Segment the tumour without the swelling around it",
        "Outline it again",
        "Segment the spleen; it is the organ below the diaphragm.",
        "Where is it?",
    ],
)
def test_what_is_no_reference(query: str) -> None:
    assert resolve(query, DIALOGUE) == query


def test_it_refers_to_nothing_while_nothing_is_there() -> None:
    assert resolve("what is it?", EMPTY) == "what is it?"


@pytest.mark.parametrize("split", SPLITS)
def test_a_request_not_to_name_is_no_reference(split: wording.Split) -> None:
    for request in wording.requests_without_name(split):
        assert resolve(request, DIALOGUE) == request
        assert resolve(f"Segment the liver. {request}", DIALOGUE) == f"Segment the liver. {request}"
        query = f"Segment the structure behind [2]. {request}"
        assert resolve(query, DIALOGUE) == query


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("kind", "fact"), KINDS)
def test_the_words_of_dialogues_pass_unchanged(
    kind: str, fact: str | None, split: wording.Split
) -> None:
    gaps = {
        "{a}": "[2]", "{b}": "[3]", "{name}": "liver", "{other}": "spleen",
        "{description}": "largest gland", "{noun}": "vein", "{medium}": "blood",
    }  # fmt: skip
    for query in wordings(kind, split, fact=fact):
        for gap, filling in gaps.items():
            query = query.replace(gap, filling)  # noqa: PLW2901  # one gap after the other
        assert resolve(query, DIALOGUE) == query


@pytest.mark.parametrize("split", SPLITS)
def test_names_and_descriptions_of_structures_pass_unchanged(split: wording.Split) -> None:
    atlas = anatomy.load()
    for known in atlas:
        said = (*wording.descriptions(known.name, split, atlas), *known.synonyms, *known.lay)
        for words in (known.name, *said):
            assert resolve(f"Segment the {words}.", DIALOGUE) == f"Segment the {words}."


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("beside [9]", r"refers to \[9\], which does not exist; expected one of \[1\], \[2\]"),
        ("beside [0]", r"refers to \[0\]"),
        ("beside mask 6", r"refers to \[6\], which does not exist"),
        ("beside [5]", r"refers to \[5\], which is absent from the image"),
        ("round 7's output", r"refers to round 7; expected one of the 3 rounds"),
        ("round 0's output", r"refers to round 0"),
        ("beside [" + "9" * 400 + "]", "which does not exist"),
    ],
)
def test_a_reference_to_what_is_not_there_is_an_error(query: str, said: str) -> None:
    with pytest.raises(UnknownReferenceError, match=said):
        resolve(query, DIALOGUE)


def test_without_masks_nothing_can_be_referred_to() -> None:
    with pytest.raises(UnknownReferenceError, match="there are no masks yet"):
        resolve("beside [1]", EMPTY)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("round 2's output", r"round 2 has 2 masks; expected exactly one.*e\.g\. \[3\]"),
        ("round 3's output", "round 3 has 0 masks"),
        ("", "the question is empty"),
        (" \n\t", "the question is empty"),
        ("a" * (LONGEST + 1), f"{LONGEST + 1} characters; expected at most {LONGEST}"),
    ],
)
def test_questions_that_cannot_be_asked(query: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        resolve(query, DIALOGUE)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map(" ".join))
def test_any_text_is_resolved_once_and_for_all_or_refused(query: str) -> None:
    try:
        once = resolve(query, DIALOGUE)
    except QueryError:
        return
    assert resolve(once, DIALOGUE) == once
