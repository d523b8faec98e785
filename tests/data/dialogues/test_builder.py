from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings, build_dialogue, twins
from mediround.data.dialogues.draft import absent_names, needs_reference
from mediround.data.scene.relations import RESEGMENTING, RelationKind, Scene
from mediround.data.words import wording
from mediround.dialogue import Dialogue, Rle, markers
from mediround.errors import ConfigError, DatasetError
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]
Maps = st.SearchStrategy[Masks]

ATLAS = anatomy.load()
SPLITS: tuple[wording.Split, ...] = ("train", "heldout")
TWIN_KINDS = (
    RelationKind.IDENTITY,
    RelationKind.COUNTERPART,
    RelationKind.LARGER_OF,
    RelationKind.LEFT_OF,
)
NEW_KINDS = ("name", "describe", "pair")


def build(masks: Masks, seed: int) -> Dialogue:
    return many(masks, 1, seed=seed, min_pixels=1)[0]


def many(masks: Masks, count: int = 100, *, seed: int = 0, **changes: object) -> list[Dialogue]:
    settings = DialogueSettings(**changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    scene = Scene({name: masks[name] for name in sorted(masks)}, ATLAS, oriented=True)
    return [
        build_dialogue(masks, rng, settings=settings, modality="CT", oriented=True, scene=scene)
        for _ in range(count)
    ]


@examples(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_markers_refer_to_entities_that_exist_by_then(
    data: st.DataObject, seed: int, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    dialogue = build(masks, seed)
    known = {entity.id for entity in dialogue.given}
    assert 1 <= len(dialogue.rounds) <= 5
    for each in dialogue.rounds:
        assert set(markers(each.query)) <= known
        assert list(each.targets) == [entity.id for entity in each.entities]
        assert not set(each.targets) & known
        for entity in each.entities:
            assert entity.refers_to == each.references
        assert each.relation is not None
        assert each.relation.references == each.references
        known |= set(each.targets)


@examples(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_every_reference_round_is_true_in_the_image(
    data: st.DataObject, seed: int, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    dialogue = build(masks, seed)
    names = {entity.id: entity.name for entity in dialogue.entities()}
    links = Scene(masks, ATLAS, oriented=True).links
    true = {(link.fact or link.kind, frozenset(link.references), link.target) for link in links}
    for each in dialogue.rounds:
        assert each.relation is not None
        if each.references:
            named = frozenset(str(names[number]) for number in each.references)
            assert (each.relation.kind, named, each.entities[0].name) in true
        for entity in each.entities:
            assert entity.mask == Rle.encode(masks[str(entity.name)])


@examples(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_equal_generators_give_equal_dialogues(
    data: st.DataObject, seed: int, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    backwards = dict(reversed(masks.items()))
    assert build(masks, seed) == build(backwards, seed)


@examples(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_nothing_new_is_asked_for_twice(data: st.DataObject, seed: int, label_maps: Maps) -> None:
    dialogue = build(data.draw(label_maps), seed)
    shown = [entity.name for entity in dialogue.given]
    for each in dialogue.rounds:
        assert each.relation is not None
        if each.relation.kind not in RESEGMENTING:
            assert not {entity.name for entity in each.entities} & set(shown)
        shown.extend(entity.name for entity in each.entities)


def test_reference_rounds_do_not_name_their_target(upper_abdomen: Masks) -> None:
    for dialogue in many(upper_abdomen):
        for each in dialogue.rounds:
            if each.references:
                assert each.entities[0].name not in ATLAS.recognise(each.query)


def test_unnamed_answers_name_nothing(upper_abdomen: Masks) -> None:
    unnamed = named = 0
    for dialogue in many(upper_abdomen):
        for each in dialogue.rounds:
            if each.references and each.query.endswith(wording.requests_without_name("train")):
                unnamed += 1
                assert each.text == wording.answer_unnamed(each.targets[0])
            elif each.references:
                named += 1
                assert each.entities[0].name in ATLAS.recognise(each.text)
    assert 0.4 <= unnamed / (unnamed + named) <= 0.6


def test_most_later_rounds_need_their_reference(upper_abdomen: Masks) -> None:
    later = [each for dialogue in many(upper_abdomen) for each in dialogue.rounds[1:]]
    needed = [
        each.relation.evidence["needs_reference"] for each in later if each.relation is not None
    ]
    assert sum(needed) >= 0.6 * len(later)


def test_the_mixture_is_the_one_that_was_asked_for(upper_abdomen: Masks) -> None:
    dialogues = many(upper_abdomen, 300)
    kinds = Counter(each.relation.kind for d in dialogues for each in d.rounds if each.relation)
    total = kinds.total()
    assert 0.28 <= sum(bool(d.given) for d in dialogues) / len(dialogues) <= 0.42
    assert max(len(d.given) for d in dialogues) == 3
    assert {len(d.rounds) for d in dialogues} == {1, 2, 3, 4, 5}
    assert 0.05 <= kinds["pair"] / total <= 0.15
    assert 0.01 <= kinds["absent"] / total <= 0.08
    assert {"identity", "counterpart", "larger_of", "left_of", "between"} <= set(kinds)


def test_given_masks_come_without_text(upper_abdomen: Masks) -> None:
    for dialogue in many(upper_abdomen, 40, given_share=1.0):
        assert dialogue.given
        assert all(entity.status == "given" for entity in dialogue.given)
        assert [entity.id for entity in dialogue.given] == list(range(1, len(dialogue.given) + 1))


def test_what_was_named_is_not_asked_for_its_identity(upper_abdomen: Masks) -> None:
    for dialogue in many(upper_abdomen):
        told: set[str] = set()
        for each in dialogue.rounds:
            assert each.relation is not None
            if each.relation.kind == "identity":
                assert each.entities[0].name not in told
            told |= set(ATLAS.recognise(each.text))


def test_splits_share_no_query(upper_abdomen: Masks) -> None:
    train, heldout = (
        {
            each.query
            for dialogue in many(upper_abdomen, 100, wording_split=split)
            for each in dialogue.rounds
        }
        for split in SPLITS
    )
    assert not train & heldout


def test_absent_structures_belong_to_another_part_of_the_body() -> None:
    absent = absent_names(["liver", "aorta"], ["spleen"], ATLAS)
    assert "left thalamus" in absent
    assert not {"spleen", "left kidney", "left lung", "heart"} & set(absent)
    assert "enhancing tumour" not in absent
    assert absent_names(["liver", "something unknown"], [], ATLAS) == ()


def test_an_absent_structure_gets_an_honest_answer_without_mask(upper_abdomen: Masks) -> None:
    dialogues = many(upper_abdomen, 40, reference_share=0.0, absent_share=1.0, given_share=0.0)
    for each in (each for dialogue in dialogues for each in dialogue.rounds):
        assert each.relation is not None
        assert each.relation.kind == "absent"
        assert each.entities == ()
        assert each.text.startswith("There ")


def test_a_reference_is_needed_where_the_words_fit_several(short_axis: Masks) -> None:
    links = Scene(short_axis, ATLAS, oriented=False).links
    needed = {link.kind: needs_reference(link, links) for link in links}
    assert needed[RelationKind.COUNTERPART]
    assert not needed[RelationKind.SURROUNDS]


@pytest.mark.parametrize("kind", TWIN_KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_twins_share_their_words_and_nothing_else(
    kind: RelationKind, split: wording.Split, upper_abdomen: Masks
) -> None:
    settings = DialogueSettings(wording_split=split)
    rng = np.random.default_rng(5)
    pairs = twins(upper_abdomen, kind, rng, settings=settings, modality="CT", oriented=True)
    assert pairs
    for one, other in pairs:
        (first,), (second,) = one.rounds, other.rounds
        assert first.query == second.query
        assert first.text == second.text == f"It is [{len(one.given) + 1}]."
        assert {e.name for e in one.given} != {e.name for e in other.given}
        assert first.entities[0].name != second.entities[0].name
        assert first.query.endswith(wording.requests_without_name(split))
        assert set(first.references) == {entity.id for entity in one.given}


def test_an_image_without_two_links_has_no_twins(short_axis: Masks) -> None:
    pairs = twins(
        short_axis,
        RelationKind.SURROUNDS,
        np.random.default_rng(0),
        settings=DialogueSettings(),
        modality="MR",
        oriented=False,
    )
    assert pairs == []


def test_dialogues_survive_json(upper_abdomen: Masks) -> None:
    for dialogue in many(upper_abdomen, 10):
        assert Dialogue.model_validate_json(dialogue.model_dump_json()) == dialogue


def test_an_image_without_structures_is_refused() -> None:
    with pytest.raises(DatasetError, match="none of 1 masks"):
        build({"liver": np.zeros((8, 8), dtype=bool)}, 0)


@pytest.mark.parametrize("changes", [{"given_share": 1.5}, {"max_rounds": 0}, {"min_pixels": 0}])
def test_impossible_settings_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DialogueSettings(**changes)  # type: ignore[arg-type]
