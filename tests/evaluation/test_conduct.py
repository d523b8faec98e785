"""Who is asked what, and what counts, when the model draws fewer or more masks than wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.evaluation.cases import Case, Setting
from mediround.evaluation.conduct import conduct, stand_in
from mediround.geometry import BoolMask

Masks = Mapping[str, BoolMask]
PLACE = ("made", "p1", "p1_3", 0)


@pytest.fixture
def masks(abdomen: Callable[..., dict[str, BoolMask]]) -> Masks:
    return abdomen()


@pytest.fixture
def dialogue(masks: Masks) -> Dialogue:
    """A given mask [1]; two targets [2] [3]; one [4] that refers to [3]; one absent structure."""

    def entity(number: int, name: str, **fields: Any) -> Entity:
        return Entity.from_mask(number, masks[name], name=name, **fields)

    pair = Round(
        query="The liver and the spleen.",
        text="The liver is [2] and the spleen is [3].",
        entities=(entity(2, "liver"), entity(3, "spleen")),
        relation=Relation(kind="pair"),
    )
    refer = Round(
        query="What lies below [3], beside [1]? Do not name it.",
        text="It is [4].",
        entities=(entity(4, "left kidney", refers_to=(3, 1)),),
        relation=Relation(kind="behind", references=(3, 1), evidence={"needs_reference": 1.0}),
    )
    absent = Round(
        query="The amygdala.",
        text="There is no amygdala in this image.",
        relation=Relation(kind="absent"),
    )
    return Dialogue(given=(entity(1, "aorta", status="given"),), rounds=(pair, refer, absent))


@pytest.fixture
def hold(
    scripted: Any, dialogue: Dialogue, masks: Masks
) -> Callable[..., tuple[list[Case], Any, Any]]:
    def run(
        reply: Any, setting: Setting | None = None, seed: int = 0
    ) -> tuple[list[Case], Any, Any]:
        session, script = scripted(reply)
        rng = np.random.default_rng(seed)
        cases = conduct(session, dialogue, masks, setting or Setting(), PLACE, rng)
        return cases, script, session

    return run


def perfect(masks: Masks, answer: Any) -> Any:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "liver" in query:
            text = f"The liver is [{first}] and the spleen is [{first + 1}]."
            return answer(text, masks["liver"], masks["spleen"])
        if shown:
            return answer(f"It is [{first}].", masks["left kidney"])
        return answer("There is no amygdala in this image.")

    return reply


def dice(cases: Sequence[Case]) -> list[float | None]:
    return [None if case.overlap is None else case.overlap.dice for case in cases]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("They are [2] and [3].", False),
        ("它们是 [2]、[3]。", False),
        ("肝脏是 [2]，脾脏是 [3]。", True),
        ("The liver is [2] and the spleen is [3].", True),
    ],
)
def test_what_the_annotation_leaves_unnamed_is_no_wrong_name(
    scripted: Any, dialogue: Dialogue, masks: Masks, answer: Any, text: str, named: bool
) -> None:
    first = dialogue.rounds[0].model_copy(update={"text": text})
    session, _ = scripted(perfect(masks, answer))
    asked = dialogue.model_copy(update={"rounds": (first,)})
    cases = conduct(session, asked, masks, Setting(), PLACE, np.random.default_rng(0))
    assert [case.named for case in cases] == [named, named]


@pytest.mark.parametrize("references", ["predicted", "gold", "random"])
def test_a_perfect_model_is_perfect(hold: Any, masks: Masks, answer: Any, references: Any) -> None:
    cases, _, _ = hold(perfect(masks, answer), Setting("free", references))
    assert dice(cases) == [1, 1, 1, None]
    assert [case.entity for case in cases] == ["liver", "spleen", "left kidney", None]
    assert [case.kind for case in cases] == ["pair", "pair", "behind", "absent"]
    assert [case.named for case in cases[:3]] == [True, True, False]
    assert [case.needs_reference for case in cases] == [False, False, True, False]
    assert [case.outcome for case in cases] == ["drawn", "drawn", "drawn", "missed"]
    assert [case.drawn for case in cases] == [2, 2, 1, 0]
    assert cases[0].predicted_name == "liver"
    assert cases[2].predicted_name is None


def test_extra_masks_shift_the_numbers_of_later_questions(
    hold: Any, masks: Masks, answer: Any
) -> None:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "liver" in query:
            text = f"Here is [{first}], the spleen is [{first + 1}], the liver is [{first + 2}]."
            return answer(text, masks["aorta"], masks["spleen"], masks["liver"])
        return perfect(masks, answer)(first, query, shown)

    cases, script, _ = hold(reply)
    assert dice(cases) == [1, 1, 1, None]
    assert cases[0].drawn == 3
    assert script.queries[1] == "What lies below [3], beside [1]? Do not name it."
    assert np.array_equal(script.shown[1][0], masks["spleen"])


def test_a_reference_is_translated_to_the_sessions_number(
    hold: Any, masks: Masks, answer: Any
) -> None:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "liver" in query:
            text = f"[{first}], the liver is [{first + 1}], the spleen is [{first + 2}]."
            return answer(text, masks["aorta"], masks["liver"], masks["spleen"])
        return perfect(masks, answer)(first, query, shown)

    cases, script, _ = hold(reply)
    assert dice(cases) == [1, 1, 1, None]
    assert script.queries[1].startswith("What lies below [4], beside [1]?")


def nothing(answer: Any) -> Any:
    return lambda first, query, shown: answer("I see nothing.")


def test_with_its_own_references_a_miss_is_paid_for_later_too(hold: Any, answer: Any) -> None:
    cases, script, _ = hold(nothing(answer))
    assert dice(cases) == [0, 0, 0, None]
    assert [case.outcome for case in cases] == ["missed", "missed", "unaskable", "missed"]
    assert all(case.overlap.union > 0 for case in cases[:3])
    assert script.queries == ["The liver and the spleen.", "The amygdala."]


def test_with_gold_references_a_miss_is_put_in_place(hold: Any, masks: Masks, answer: Any) -> None:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        return perfect(masks, answer)(first, query, shown) if shown else answer("Nothing.")

    cases, script, _ = hold(reply, Setting("free", "gold"))
    assert dice(cases) == [0, 0, 1, None]
    assert np.array_equal(script.shown[1][0], masks["spleen"])
    assert np.array_equal(script.shown[1][1], masks["aorta"])


def test_a_wrong_mask_is_what_later_rounds_see_unless_references_are_gold(
    hold: Any, masks: Masks, answer: Any
) -> None:
    wrong = masks["right kidney"]

    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "liver" in query:
            text = f"The liver is [{first}] and the spleen is [{first + 1}]."
            return answer(text, masks["liver"], wrong)
        return perfect(masks, answer)(first, query, shown)

    _, own, _ = hold(reply, Setting("free", "predicted"))
    _, gold, _ = hold(reply, Setting("free", "gold"))
    assert np.array_equal(own.shown[1][0], wrong)
    assert np.array_equal(gold.shown[1][0], masks["spleen"])


def test_random_references_are_never_the_true_ones(hold: Any, masks: Masks, answer: Any) -> None:
    seen = []
    for seed in range(8):
        _, script, _ = hold(perfect(masks, answer), Setting("free", "random"), seed)
        for mask, true in zip(script.shown[1], ("spleen", "aorta"), strict=True):
            assert not np.array_equal(mask, masks[true])
            assert any(np.array_equal(mask, other) for other in masks.values())
        seen.append(script.shown[1][0].tobytes())
    assert len(set(seen)) > 1


def test_gold_text_is_said_with_the_sessions_numbers(hold: Any, masks: Masks, answer: Any) -> None:
    cases, script, _ = hold(perfect(masks, answer), Setting("gold", "predicted"))
    assert dice(cases) == [1, 1, 1, None]
    assert script.texts == [
        "The liver is [2] and the spleen is [3].",
        "It is [4].",
        "There is no amygdala in this image.",
    ]


def test_gold_text_follows_masks_that_were_added(hold: Any, masks: Masks, answer: Any) -> None:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "liver" in query:
            return answer(f"[{first}] [{first + 1}] [{first + 2}]", *[masks["liver"]] * 3)
        return perfect(masks, answer)(first, query, shown)

    _, script, _ = hold(reply, Setting("gold", "predicted"))
    assert script.texts[1] == "It is [5]."


def test_a_question_that_the_session_refuses_is_a_miss(
    hold: Any, masks: Masks, answer: Any, scripted: Any
) -> None:
    session, _ = scripted(nothing(answer))
    long = Round(
        query="The liver. " * 200,
        text="The liver is [1].",
        entities=(Entity.from_mask(1, masks["liver"], name="liver"),),
        relation=Relation(kind="name"),
    )
    rng = np.random.default_rng(0)
    cases = conduct(session, Dialogue(rounds=(long,)), masks, Setting(), PLACE, rng)
    assert [case.outcome for case in cases] == ["rejected"]
    assert dice(cases) == [0]


def test_a_stand_in_without_other_structures_is_the_mask_elsewhere(masks: Masks) -> None:
    liver = masks["liver"]
    moved = stand_in({"liver": liver}, ("liver",), np.random.default_rng(0))
    assert moved.sum() == liver.sum()
    assert not np.array_equal(moved, liver)
