from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mediround import anatomy
from mediround.data.dialogues import enquiries
from mediround.data.dialogues.builder import (
    DialogueSettings,
    build_dialogue,
    draw_dialogues,
    measure,
)
from mediround.data.dialogues.difficulty import level
from mediround.data.dialogues.guessing import GUESSABLE
from mediround.data.scene.relations import RESEGMENTING, Link, Scene
from mediround.data.scene.relations_wide import RANKING, WideLink, rankings, wide_links
from mediround.data.words import chinese, questions
from mediround.data.words.wording import Language
from mediround.dialogue import Dialogue, Round, markers
from mediround.errors import ConfigError
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]
Maps = st.SearchStrategy[Masks]

ATLAS = anatomy.load()
WITHOUT_LINK = {"name", "describe", "pair", "absent", "talk", "several", "either", "secretes"}


def many(scene: Scene, count: int = 60, *, seed: int = 0, **changes: object) -> list[Dialogue]:
    settings = DialogueSettings.rich(min_pixels=1, **changes)
    rng = np.random.default_rng(seed)
    return [
        dialogue
        for _ in range(count)
        for dialogue in draw_dialogues(
            {},
            rng,
            settings=settings,
            modality="CT",
            oriented=True,
            region_names=("pancreas", "gallbladder"),
            scene=scene,
            complete=True,
        )
    ]


def rounds_of(dialogues: Sequence[Dialogue], kind: str | None = None) -> list[Round]:
    every = [each for dialogue in dialogues for each in dialogue.rounds]
    return [each for each in every if kind is None or kind_of(each) == kind]


def every_link(scene: Scene) -> list[Link | WideLink]:
    return [*scene.links, *wide_links(scene), *rankings(scene, list(scene.shapes))]


def kind_of(each: Round) -> str:
    assert each.relation is not None
    return each.relation.kind


def marked(each: Round) -> bool:
    assert each.relation is not None
    return bool(each.relation.evidence["needs_reference"])


@pytest.fixture
def abdomen(upper_abdomen: Masks) -> Scene:
    return measure(upper_abdomen, oriented=True)


@examples(max_examples=15, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), oriented=st.booleans())
def test_everything_that_is_said_is_true_in_the_image(
    data: st.DataObject, seed: int, oriented: bool, label_maps: Maps
) -> None:
    scene = measure(data.draw(label_maps), oriented=oriented)
    true = {(link.label, frozenset(link.references), link.target) for link in every_link(scene)}
    for dialogue in many(scene, 3, seed=seed):
        names = {entity.id: str(entity.name) for entity in dialogue.entities()}
        for each in dialogue.rounds:
            assert each.relation is not None
            about = tuple(names[number] for number in each.relation.references)
            kind = each.relation.kind
            if kind in enquiries.WEIGHTS:
                assert each.entities == ()
                # The words may name the second first ("from [2], where is [1]?").
                language: Language = "zh" if chinese.is_chinese(each.text) else "en"
                assert each.text == enquiries.answer(scene, kind, about, language)
            elif kind not in WITHOUT_LINK | {"correction", "premise", "ask_total"}:
                assert (kind, frozenset(about), each.entities[0].name) in true
            for entity in each.entities:
                assert entity.mask == scene.shapes[str(entity.name)].rle


@examples(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_numbers_are_known_when_they_are_named(
    data: st.DataObject, seed: int, label_maps: Maps
) -> None:
    scene = measure(data.draw(label_maps), oriented=True)
    for dialogue in many(scene, 3, seed=seed):
        known = {entity.id for entity in dialogue.given}
        for each in dialogue.rounds:
            assert each.relation is not None
            assert set(markers(each.query)) <= set(each.relation.references) <= known
            assert list(each.targets) == [entity.id for entity in each.entities]
            known |= set(each.targets)
            assert 0 <= (each.relation.difficulty or 0) <= 1


def test_equal_generators_give_equal_dialogues(upper_abdomen: Masks) -> None:
    one, other = (measure(upper_abdomen, oriented=True) for _ in range(2))
    # The second scene has served before: what is kept with it must not matter.
    many(other, 5, seed=9)
    assert many(one, 20, seed=3) == many(other, 20, seed=3)


def test_three_fifths_of_later_rounds_need_their_references(abdomen: Scene) -> None:
    later = [each for dialogue in many(abdomen, 120) for each in dialogue.rounds[1:]]
    assert sum(map(marked, later)) >= 0.6 * len(later)


def test_every_kind_of_round_is_drawn(abdomen: Scene) -> None:
    dialogues = many(abdomen, 400) + many(abdomen, 200, several_share=0.5, necessary_share=0.6)
    kinds = Counter(map(kind_of, rounds_of(dialogues)))
    assert {
        "name",
        "describe",
        "absent",
        "talk",
        "several",
        "either",
        "correction",
        "premise",
        "identity",
        "counterpart",
        "left_of",
        "nearest_to",
        "largest_of",
        "nth_from_top",
        "ask_name",
        "ask_size",
        "ask_larger",
        "ask_order",
        "ask_total",
    } <= set(kinds)
    rated = [each.relation.difficulty for each in rounds_of(dialogues) if each.relation]
    assert {level(value or 0.0) for value in rated} == {"easy", "medium", "hard"}


def test_references_reach_back_and_masks_come_in_between(abdomen: Scene) -> None:
    dialogues = many(abdomen, 150)
    born: list[int] = []
    for dialogue in dialogues:
        first = {e.id: n for n, each in enumerate(dialogue.rounds) for e in each.entities}
        for now, each in enumerate(dialogue.rounds):
            born += [now - first[number] for number in each.references if number in first]
    assert sum(age > 1 for age in born) >= 0.15 * len(born)
    midway = [d for d in dialogues if d.given and d.given[-1].id > len(d.given)]
    assert len(midway) >= 0.1 * len(dialogues)
    assert any(len(each.references) == 3 for each in rounds_of(dialogues))


def test_what_the_text_has_named_needs_no_reference(abdomen: Scene) -> None:
    for dialogue in many(abdomen, 150, twin_share=0.0):
        named: dict[int, str] = {}
        for each in dialogue.rounds:
            said = {*ATLAS.recognise(each.text), *chinese.recognise(each.text)}
            alone = len(each.references) == 1 and each.references[0] in named
            if alone and kind_of(each) != "ask_size":
                assert not marked(each), each
            named.update({e.id: e.name for e in each.entities if e.name in said})


def test_no_structure_is_drawn_more_than_twice(abdomen: Scene) -> None:
    for dialogue in many(abdomen, 150):
        drawn = Counter(str(entity.name) for entity in dialogue.entities())
        assert max(drawn.values()) <= 3
        fresh: set[str | None] = set()
        for each in dialogue.rounds:
            if kind_of(each) not in RESEGMENTING | RANKING | {"correction"}:
                assert not fresh & {entity.name for entity in each.entities}
            fresh |= {entity.name for entity in each.entities}


def test_a_change_of_mind_names_the_other_choice(abdomen: Scene) -> None:
    corrections = 0
    for dialogue in many(abdomen, 300, correction_share=1.0, several_share=0.6):
        for before, after in pairwise(dialogue.rounds):
            if kind_of(after) != "correction":
                continue
            corrections += 1
            assert markers(after.query) == ()
            assert after.relation is not None
            assert after.relation.references
            assert after.entities[0].name != before.entities[0].name
            if kind_of(before) == "either":
                pair = ATLAS.pair(str(before.entities[0].name))
                assert after.entities[0].name == pair
    assert corrections >= 10


def test_a_false_premise_gets_an_honest_answer(abdomen: Scene, upper_abdomen: Masks) -> None:
    for dialogue in many(abdomen, 200, premise_share=1.0, chinese_share=0.0):
        names = {entity.id: entity.name for entity in dialogue.entities()}
        for each in dialogue.rounds:
            if kind_of(each) == "premise":
                name = names[each.references[0]]
                assert each.text == f"The {name} has no counterpart."
                assert each.entities == ()
    lonely = {name: mask for name, mask in upper_abdomen.items() if name != "left kidney"}
    told = draw_premises(lonely, complete=True)
    assert "That would be the left kidney, which this image does not show." in told
    assert not any("does not show" in text for text in draw_premises(lonely, complete=False))


def draw_premises(masks: Masks, *, complete: bool) -> set[str]:
    rng = np.random.default_rng(0)
    settings = DialogueSettings.rich(premise_share=1.0, enquiry_share=0.0, chinese_share=0.0)
    scene = measure(masks, oriented=True)
    drawn = [
        build_dialogue(
            masks,
            rng,
            settings=settings,
            modality="CT",
            oriented=True,
            region_names=(*masks, "left kidney"),
            scene=scene,
            complete=complete,
        )
        for _ in range(60)
    ]
    return {each.text for each in rounds_of(drawn, "premise")}


def test_only_complete_labels_speak_of_what_is_missing(abdomen: Scene) -> None:
    said = {each.text for each in rounds_of(many(abdomen, 200, necessary_share=0.2), "absent")}
    assert said & {"There is no pancreas in this image.", "There is no gallbladder in this image."}


def test_what_is_missing_is_asked_for_once(abdomen: Scene) -> None:
    drawn = many(abdomen, 60, necessary_share=0.1, absent_share=1.0, near_absent_share=1.0)
    for dialogue in drawn:
        near = [each.text for each in rounds_of([dialogue], "absent") if "pancreas" in each.text]
        assert len(near) <= 1


def test_small_talk_is_replayed_once_and_never_first(abdomen: Scene) -> None:
    pairs = {*questions.small_talk("train"), *questions.small_talk("train", "zh")}
    for dialogue in many(abdomen, 100, talk_share=1.0, necessary_share=0.3):
        talk = [(each.query, each.text) for each in rounds_of([dialogue], "talk")]
        assert set(talk) <= pairs
        assert len(set(talk)) == len(talk)
        assert dialogue.given or kind_of(dialogue.rounds[0]) != "talk"


def test_twins_have_the_same_words_and_other_answers(abdomen: Scene) -> None:
    settings = DialogueSettings.rich(twin_share=1.0)
    rng = np.random.default_rng(4)
    longest = 0
    for _ in range(60):
        drawn = draw_dialogues(
            {}, rng, settings=settings, modality="CT", oriented=True, scene=abdomen
        )
        assert len(drawn) == 2
        one, other = drawn
        assert [e.query for e in one.rounds] == [e.query for e in other.rounds]
        assert len(one.given) == len(other.given)
        for first, second in zip(one.rounds, other.rounds, strict=True):
            assert marked(first)
            assert marked(second)
            assert first.relation is not None
            assert first.relation.evidence["guess"] <= GUESSABLE
            names = [[e.name for e in each.entities] for each in (first, second)]
            assert names[0] != names[1] or first.text != second.text
        longest = max(longest, len(one.rounds))
    assert longest >= 4


def test_a_single_structure_still_makes_a_dialogue(upper_abdomen: Masks) -> None:
    scene = measure({"liver": upper_abdomen["liver"]}, oriented=True)
    for dialogue in many(scene, 40):
        assert dialogue.rounds or dialogue.given


@pytest.mark.parametrize("name", ["necessary_share", "twin_share", "talk_share"])
def test_impossible_shares_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        DialogueSettings.rich(**{name: 1.2})


def test_the_default_mixture_is_not_rich() -> None:
    assert not DialogueSettings().is_rich
    assert DialogueSettings.rich().is_rich
