from __future__ import annotations

import hashlib
import json
import re
from itertools import product

import numpy as np
import pytest
from tests.wordings import wordings

from mediround import anatomy
from mediround.data.scene.relations import FACT_KINDS, Link, RelationKind
from mediround.data.words import wording
from mediround.data.words.wording import Speaker, Split

ATLAS = anatomy.load()
SPLITS: tuple[Split, ...] = ("train", "heldout")
KINDS = [
    *((kind, None) for kind in ("name", "describe", "pair", "unnamed")),
    *((kind, None) for kind in RelationKind if kind is not RelationKind.FACT),
    *((RelationKind.FACT, fact) for fact in sorted(FACT_KINDS)),
]
LABELLED = """spleen; right kidney; left kidney; gallbladder; esophagus; liver; stomach; aorta;
inferior vena cava; portal vein and splenic vein; pancreas; right adrenal gland;
left adrenal gland; right ventricle cavity; left ventricular myocardium; left ventricle cavity;
nerve; blood vessel; anterior hippocampus; posterior hippocampus; necrotic tumour core;
peritumoral oedema; non-enhancing tumour; enhancing tumour; left cerebral white matter;
left cerebral cortex; left lateral ventricle; left cerebellar white matter;
left cerebellar cortex; left thalamus; left caudate nucleus; left putamen;
left globus pallidus; third ventricle; fourth ventricle; brainstem; left hippocampus;
left amygdala; right thalamus; right hippocampus"""
ENTITIES = [name.strip() for name in LABELLED.replace("\n", " ").split(";")]


@pytest.mark.parametrize(("kind", "fact"), KINDS)
def test_every_kind_has_enough_words_and_keeps_some_back(kind: str, fact: str | None) -> None:
    train = wordings(kind, "train", fact=fact)
    heldout = wordings(kind, "heldout", fact=fact)
    assert len(set(train)) == len(train) >= (6 if kind == "unnamed" else 12)
    assert len(set(heldout)) == len(heldout) >= 3


@pytest.mark.parametrize(("kind", "fact"), KINDS)
def test_no_wording_is_in_both_splits(kind: str, fact: str | None) -> None:
    assert not set(wordings(kind, "train", fact=fact)) & set(wordings(kind, "heldout", fact=fact))


@pytest.mark.parametrize("kind", [kind for kind in RelationKind if kind is not RelationKind.FACT])
def test_every_relation_has_ten_phrases_and_three_held_out(kind: RelationKind) -> None:
    train, heldout = (wording.phrases(kind, split) for split in SPLITS)
    assert len(set(train)) >= 10
    assert len(set(heldout)) >= 3
    assert not set(train) & set(heldout)


def test_a_heldout_sentence_shares_neither_frame_nor_phrase_with_training() -> None:
    for pair in (False, True):
        assert not set(wording.frames("train", pair=pair)) & set(
            wording.frames("heldout", pair=pair)
        )
    openings = {frame.split("{x}")[0] for frame in wording.frames("train")}
    assert not openings & {frame.split("{x}")[0] for frame in wording.frames("heldout")}


@pytest.mark.parametrize("split", SPLITS)
def test_frames_end_with_their_gap(split: Split) -> None:
    for frame in wording.frames(split):
        assert re.fullmatch(r"[^{}]*\{x\}[.?]", frame), frame


@pytest.mark.parametrize(("kind", "split"), list(product(RelationKind, SPLITS)))
def test_phrases_have_the_gaps_of_their_references(kind: RelationKind, split: Split) -> None:
    two = kind in (RelationKind.LARGER_OF, RelationKind.SMALLER_OF, RelationKind.BETWEEN)
    expected = {"a", "b"} if two else {"a"}
    for fact in FACT_KINDS if kind is RelationKind.FACT else (None,):
        for phrase in wording.phrases(kind, split, fact):
            gaps = set(re.findall(r"\{(\w+)\}", phrase))
            assert gaps - {"noun", "medium"} == expected, phrase


@pytest.mark.parametrize("entity", ENTITIES)
def test_labelled_structures_can_be_described_in_both_splits(entity: str) -> None:
    train, heldout = (wording.descriptions(entity, split, ATLAS) for split in SPLITS)
    assert len(train) >= 3
    assert len(heldout) >= 1
    assert not set(train) & set(heldout)


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_description_never_tells_the_name(entity: str) -> None:
    for split in SPLITS:
        for description in wording.descriptions(entity, split, ATLAS):
            assert entity not in ATLAS.recognise(description), description


def test_descriptions_say_the_side() -> None:
    for split in SPLITS:
        left = wording.descriptions("left kidney", split, ATLAS)
        assert all("left" in description for description in left)
        right = {text.replace("left", "right") for text in left}
        assert right == set(wording.descriptions("right kidney", split, ATLAS))


def test_descriptions_belong_to_one_structure() -> None:
    seen: dict[str, str] = {}
    for entity in ENTITIES:
        for split in SPLITS:
            for description in wording.descriptions(entity, split, ATLAS):
                assert seen.setdefault(description, entity) == entity, description


def test_synonyms_are_divided_where_there_are_three() -> None:
    train, heldout = (
        wording.names("left ventricular myocardium", split, ATLAS) for split in SPLITS
    )
    assert train
    assert heldout
    assert not set(train) & set(heldout)


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_name_means_its_structure(entity: str) -> None:
    for split in SPLITS:
        for name in wording.names(entity, split, ATLAS):
            found = ATLAS.find(name)
            assert found is not None
            assert found.name == entity


def test_plural_names_never_meet_a_singular_verb() -> None:
    speaker = Speaker("train", np.random.default_rng(0), ATLAS)
    asked = {speaker.ask_name("portal vein and splenic vein") for _ in range(300)}
    assert len(asked) > 10
    assert not [query for query in asked if query.lower().startswith("where is")]


def test_the_words_of_a_fact_are_filled_in() -> None:
    link = Link(
        RelationKind.FACT,
        ("esophagus",),
        "stomach",
        fact="receives_from",
        terms=(("noun", "organ"), ("medium", "food")),
    )
    speaker = Speaker("train", np.random.default_rng(1), ATLAS)
    templates = {speaker.relation_template(link, named=True) for _ in range(50)}
    assert all(set(re.findall(r"\{(\w+)\}", each)) == {"a"} for each in templates)
    assert any("food" in each and "organ" in each for each in templates)


def test_a_request_without_name_never_asks_for_the_name() -> None:
    link = Link(RelationKind.IDENTITY, ("liver",), "liver")
    for split in SPLITS:
        speaker = Speaker(split, np.random.default_rng(2), ATLAS)
        for _ in range(100):
            template = speaker.relation_template(link, named=False)
            assert template.endswith(wording.requests_without_name(split))
            assert not template.startswith(wording.questions(split))


def test_answers() -> None:
    assert wording.answer([("spleen", 1)]) == "The spleen is [1]."
    assert (
        wording.answer([("portal vein and splenic vein", 1), ("liver", 2)])
        == "The portal vein and splenic vein are [1] and the liver is [2]."
    )
    assert wording.answer_unnamed(4) == "It is [4]."
    assert wording.answer_absent("left thalamus") == "There is no left thalamus in this image."


def test_references_fill_their_gaps() -> None:
    filled = wording.fill("whichever is larger, {a} or {b}", ["[2]", "mask [1]"])
    assert filled == "Whichever is larger, [2] or mask [1]"


# Stems of the main verbs of the held-out frames; "look" is too common to be kept out.
HELDOUT_VERBS = re.compile(r"\b(?:trac|need|colour|belong|spot|know)", re.IGNORECASE)
HELDOUT_DIGEST = "26d7d52c25da284c"


def test_no_verb_of_a_heldout_frame_occurs_in_training_frames() -> None:
    heldout = [*wording.frames("heldout"), *wording.frames("heldout", pair=True)]
    assert all(HELDOUT_VERBS.search(frame) for frame in heldout[:6])
    for frame in (*wording.frames("train"), *wording.frames("train", pair=True)):
        assert not HELDOUT_VERBS.search(frame), frame
        assert not frame.lower().startswith(("which", "would you", "any ", "two masks")), frame


def test_heldout_words_never_change() -> None:
    """Results on held-out wordings compare versions only while the wordings stay the same."""
    kept = {
        "frames": wording.frames("heldout"),
        "pairs": wording.frames("heldout", pair=True),
        "unnamed": wording.requests_without_name("heldout"),
        "questions": wording.questions("heldout"),
        "phrases": [
            wording.phrases(RelationKind(kind), "heldout", fact)
            for kind, fact in KINDS
            if kind in set(RelationKind)
        ],
        "descriptions": [wording.descriptions(name, "heldout", ATLAS) for name in ENTITIES],
    }
    digest = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    assert digest[:16] == HELDOUT_DIGEST


@pytest.mark.parametrize("register", wording.REGISTERS)
def test_each_register_has_frames_of_its_own(register: wording.Register) -> None:
    assert len(wording.frames("train", register)) >= 16
    assert len(wording.frames("train", register, pair=True)) >= 10
    others = {
        frame
        for each in wording.REGISTERS
        if each != register
        for frame in wording.frames("train", each)
    }
    assert len(set(wording.frames("train", register)) - others) >= 16


def test_training_has_many_words_for_every_purpose() -> None:
    assert len(wording.requests_without_name("train")) >= 30
    assert len(wording.questions("train")) >= 25
    for kind, fact in KINDS:
        if kind in set(RelationKind):
            many = kind in ("identity", "counterpart", "sibling")
            found = wording.phrases(RelationKind(kind), "train", fact)
            assert len(set(found)) == len(found) >= (25 if many else 20), (kind, fact)


@pytest.mark.parametrize("entity", ENTITIES[:20])
def test_learned_structures_have_a_dozen_descriptions(entity: str) -> None:
    train = wording.descriptions(entity, "train", ATLAS)
    assert len(set(train)) == len(train) >= 12


@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_chambers_of_the_heart_are_no_mirror_images(language: wording.Language) -> None:
    heart = Link(RelationKind.COUNTERPART, ("left ventricle cavity",), "right ventricle cavity")
    kidney = Link(RelationKind.COUNTERPART, ("left kidney",), "right kidney")
    alike = re.compile("mirror|same|midline|contralateral|左右|镜像|同")
    voice = wording.Voice(language=language)
    asked: dict[str, set[str]] = {}
    for link in (heart, kidney):
        speaker = Speaker("train", np.random.default_rng(0), ATLAS, voice)
        asked[link.target] = {speaker.relation_template(link, named=True) for _ in range(300)}
    assert not [each for each in asked["right ventricle cavity"] if alike.search(each)]
    assert len(asked["right ventricle cavity"]) > 60
    assert [each for each in asked["right kidney"] if alike.search(each)]
