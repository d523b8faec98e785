from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from mediround import anatomy
from mediround.data.dialogues.enquiries import ONE, TWO
from mediround.data.scene.relations_wide import RANKING, WideKind
from mediround.data.words import answers, chinese, questions, wording
from mediround.data.words.questions import Asker

ATLAS = anatomy.load()
GROUPS = ("phrase", "whole", "enquiry")
KINDS = [(group, kind) for group in GROUPS for kind in questions.kinds(group)]


def gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_every_kind_has_words_of_which_some_are_held_out(
    group: str, kind: str, language: wording.Language
) -> None:
    train, heldout = (
        questions.forms(group, kind, split, language) for split in ("train", "heldout")
    )
    assert len(set(train)) >= (8 if group == "phrase" else 12)
    assert len(set(heldout)) >= 3
    assert not set(train) & set(heldout)


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize("kind", WideKind)
def test_a_relation_has_forty_surface_forms(kind: WideKind, language: wording.Language) -> None:
    frames = wording.frames("train", language=language)
    assert len(frames) * len(questions.forms("phrase", kind.value, "train", language)) >= 40


@pytest.mark.parametrize(("group", "kind"), [each for each in KINDS if each[0] != "phrase"])
def test_chinese_questions_have_forty_forms_but_those_that_only_count(
    group: str, kind: str
) -> None:
    few = ("unnamed_several", "ask_total")
    assert len(questions.forms(group, kind, "train", "zh")) >= (12 if kind in few else 40)


@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_chinese_words_have_the_gaps_of_the_english_ones(group: str, kind: str) -> None:
    for split in ("train", "heldout"):
        english = {frozenset(gaps(form)) for form in questions.forms(group, kind, split)}
        allowed = frozenset().union(*english) - {"end"}
        for form in questions.forms(group, kind, split, "zh"):
            assert gaps(form) <= allowed, form
            assert {"a", "b", "c", "x", "y", "z"} & allowed <= gaps(form), form


def test_every_answer_is_said_in_both_languages() -> None:
    english, other = (answers._table()[language] for language in wording.LANGUAGES)
    assert english.keys() == other.keys()
    for key, sentence in english.items():
        assert gaps(sentence) == gaps(other[key]), key


@pytest.mark.parametrize(("kind", "split"), list(product(WideKind, ("train", "heldout"))))
def test_phrases_have_the_gaps_of_their_references(kind: WideKind, split: wording.Split) -> None:
    expected = {"a", "b", "c"} if kind in RANKING else {"a"}
    expected |= {"ordinal"} if kind is WideKind.NTH_FROM_TOP else set()
    for phrase in questions.forms("phrase", kind.value, split):
        assert gaps(phrase) == expected
        assert phrase.startswith(("the ", "what", "whichever ", "whatever "))


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_enquiries_name_what_they_are_about(split: wording.Split) -> None:
    for kind in (*ONE, *TWO):
        for question in questions.forms("enquiry", kind, split):
            assert gaps(question) - {"where", "end"} == ({"a"} if kind in ONE else {"a", "b"})
    for question in questions.forms("enquiry", "ask_total", split):
        assert gaps(question) == set()


def test_questions_end_as_questions_and_demands_as_demands() -> None:
    asker = Asker("train", np.random.default_rng(0))
    for _ in range(200):
        asked = asker.enquiry("ask_side", ["[1]"])
        assert "{" not in asked
        assert asked[-1] in ".?"
        if asked.startswith(("Is ", "On which", "Can ")):
            assert asked.endswith("?")


def test_words_never_name_a_structure() -> None:
    for group, kind in KINDS:
        for split in ("train", "heldout"):
            for form in questions.forms(group, kind, split):
                assert ATLAS.recognise(re.sub(r"\{\w+\}", "[1]", form)) == (), form
            for form in questions.forms(group, kind, split, "zh"):
                assert chinese.recognise(form) == (), form


def test_small_talk_is_plain_and_divided() -> None:
    for language in wording.LANGUAGES:
        check_small_talk(language, "." if language == "en" else "。")
    assert len(questions.small_talk("train", "zh")) == len(questions.small_talk("train"))


def check_small_talk(language: wording.Language, stop: str) -> None:
    train, heldout = (questions.small_talk(split, language) for split in ("train", "heldout"))
    assert len(train) + len(heldout) >= 60
    assert not {q for q, _ in train} & {q for q, _ in heldout}
    for question, said in (*train, *heldout):
        assert question[-1] in "?.？。"
        assert said[-1] == stop
        assert "[" not in question + said


def test_lists_read_like_sentences() -> None:
    targets = [("liver", 1), ("portal vein and splenic vein", 2), ("aorta", 3)]
    assert answers.answer_several(targets) == (
        "The liver is [1], the portal vein and splenic vein are [2] and the aorta is [3]."
    )
    assert answers.answer_several_unnamed([4, 5]) == "They are [4] and [5]."
    assert answers.spoken(3) == "three"
    assert answers.spoken(12) == "12"
