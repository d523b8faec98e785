"""Both languages offer enough words, keep some back, and fit their gaps."""

from __future__ import annotations

import re
from itertools import product

import pytest

from mediround import anatomy
from mediround.data.scene.link import FACT_KINDS, RelationKind
from mediround.data.words import chinese, phrasebook
from mediround.data.words.phrasebook import LANGUAGES, REGISTERS, Language, Register, Split

ATLAS = anatomy.load()
SPLITS: tuple[Split, ...] = ("train", "heldout")
PLAIN_KINDS = [(kind.value, None) for kind in RelationKind if kind is not RelationKind.FACT]
RELATIONS: list[tuple[str, str | None]] = [
    *PLAIN_KINDS,
    *(("fact", fact) for fact in sorted(FACT_KINDS)),
]
LEARNED = (
    "spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach",
    "aorta", "inferior vena cava", "portal vein and splenic vein", "pancreas",
    "right adrenal gland", "left adrenal gland", "right ventricle cavity",
    "left ventricular myocardium", "left ventricle cavity", "nerve", "blood vessel",
    "anterior hippocampus", "posterior hippocampus",
)  # fmt: skip
GAPS = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize(("kind", "fact"), RELATIONS)
def test_a_relation_has_forty_forms_in_every_register(
    kind: str, fact: str | None, register: Register, language: Language
) -> None:
    frames = phrasebook.frames("train", register, language=language)
    phrases = phrasebook.phrases(kind, "train", fact, language)
    assert len(frames) * len(phrases) >= 40


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("kind", "fact"), RELATIONS)
def test_phrases_of_a_relation_are_divided(kind: str, fact: str | None, language: Language) -> None:
    train, heldout = (phrasebook.phrases(kind, split, fact, language) for split in SPLITS)
    assert len(train) >= 8
    assert len(heldout) >= 2
    assert not set(train) & set(heldout)
    two = kind in ("larger_of", "smaller_of", "between")
    for phrase in (*train, *heldout):
        gaps = GAPS.findall(phrase)
        assert sorted(set(gaps) - {"noun", "medium"}) == (["a", "b"] if two else ["a"]), phrase
        assert len(set(gaps)) == len(gaps), phrase


@pytest.mark.parametrize("kind", [kind for kind, _ in PLAIN_KINDS])
def test_fresh_phrases_are_new_or_the_held_out_ones(kind: str) -> None:
    fresh = phrasebook.phrases(kind, "fresh")
    heldout = phrasebook.phrases(kind, "heldout")
    assert not set(fresh) & set(phrasebook.phrases(kind, "train"))
    assert fresh == heldout or (len(fresh) >= 6 and not set(fresh) & set(heldout))
    for phrase in fresh:
        assert set(GAPS.findall(phrase)) == set(GAPS.findall(heldout[0])), phrase
    assert phrasebook.phrases(kind, "fresh", language="zh") == phrasebook.phrases(
        kind, "heldout", language="zh"
    )


def test_all_other_words_of_a_fresh_question_are_held_out() -> None:
    assert phrasebook.frames("fresh") == phrasebook.frames("heldout")
    assert phrasebook.requests_without_name("fresh") == phrasebook.requests_without_name("heldout")
    for name in LEARNED:
        assert phrasebook.names(name, "fresh", ATLAS) == phrasebook.names(name, "heldout", ATLAS)
        assert phrasebook.descriptions(name, "fresh", ATLAS) == phrasebook.descriptions(
            name, "heldout", ATLAS
        )


def test_chinese_frames_have_their_gaps_and_are_divided() -> None:
    for pair, gaps in ((False, ["x"]), (True, ["x", "y"])):
        train, heldout = (phrasebook.frames(s, pair=pair, language="zh") for s in SPLITS)
        assert not set(train) & set(heldout)
        for frame in (*train, *heldout):
            assert GAPS.findall(frame) == gaps, frame
            assert frame[-1] in "。？", frame
    assert len(phrasebook.requests_without_name("train", "zh")) >= 30
    assert len(phrasebook.questions("train", "zh")) >= 25
    for each in phrasebook.questions("train", "zh"):
        assert GAPS.findall(each) == ["a"], each


# What only held-out Chinese frames and phrases say.
HELDOUT_ZH = (
    "描",
    "需要",
    "涂",
    "像素属于",
    "认出",
    "瞧",
    "孪生",
    "夹住",
    "东西",
    "那一半",
    "赢家",
)


def test_heldout_chinese_words_do_not_occur_in_training() -> None:
    train = (
        *phrasebook.frames("train", language="zh"),
        *phrasebook.frames("train", pair=True, language="zh"),
        *phrasebook.all_phrases("train", "zh"),
    )
    assert not [each for each in train if any(word in each for word in HELDOUT_ZH)]


@pytest.mark.parametrize(("entity", "split"), list(product(LEARNED, SPLITS)))
def test_learned_structures_are_described_in_chinese(entity: str, split: Split) -> None:
    found = phrasebook.descriptions(entity, split, ATLAS, "zh")
    assert len(found) >= (4 if split == "train" else 2)
    for text in found:
        assert entity not in chinese.recognise(text), text
        if entity.endswith(("kidney", "adrenal gland")):
            assert ("左" in text) == entity.startswith("left"), text
            assert ("右" in text) == entity.startswith("right"), text
        assert not GAPS.search(text)


def test_chinese_descriptions_belong_to_one_structure() -> None:
    seen: dict[str, str] = {}
    for entity, split in product(LEARNED, SPLITS):
        for text in phrasebook.descriptions(entity, split, ATLAS, "zh"):
            assert seen.setdefault(text, entity) == entity, text


def test_nouns_and_media_of_all_facts_have_a_chinese_word() -> None:
    media = {word for each in ATLAS for words in each.media.values() for word in words}
    for word in {each.noun for each in ATLAS} | media:
        assert chinese.is_chinese(phrasebook.term(word, "zh")), word
        assert phrasebook.term(word, "en") == word


def test_a_register_chooses_among_the_names() -> None:
    for entity in ATLAS:
        expert = phrasebook.names(entity.name, "train", ATLAS, "en", "radiologist")
        assert not set(expert) & set(entity.lay)
    assert phrasebook.names("stomach", "train", ATLAS, "en", "lay") == ("tummy",)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_references_have_one_gap_and_are_mostly_plain(split: Split, language: Language) -> None:
    forms = phrasebook.reference_forms(split, language)
    assert all(form.count("[{n}]") == 1 for form in forms)
    assert 0.3 <= forms.count("[{n}]") / len(forms) <= 0.7
