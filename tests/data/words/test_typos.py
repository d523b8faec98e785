from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround import anatomy
from mediround.data.scene.link import Link, RelationKind
from mediround.data.words import chinese, typos
from mediround.data.words.wording import Speaker, Voice, fill, requests_without_name
from mediround.dialogue import markers

ATLAS = anatomy.load()
SEEDS = st.integers(0, 2**32 - 1)
QUESTIONS = st.sampled_from(
    [
        "Segment the structure between [1] and mask [12].",
        "Please outline the structure on the patient's left of {a}.",
        "请分割[1]与区域[2]之间的结构。",
        "What is [3]?",
        "Show me the inferior vena cava and the left kidney.",
    ]
)


def distance(one: str, other: str) -> int:
    """Edits between two texts; two neighbours that change places count as one (restricted)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, match in enumerate(other, start=1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != match))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == match:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


@settings(deadline=None)
@given(QUESTIONS, SEEDS)
def test_a_slip_is_one_edit_and_spares_references_and_gaps(text: str, seed: int) -> None:
    wrong = typos.mistype(text, np.random.default_rng(seed))
    assert distance(text, wrong) <= 1
    assert markers(wrong) == markers(text)
    assert re.findall(r"\{\w+\}", wrong) == re.findall(r"\{\w+\}", text)
    assert wrong == typos.mistype(text, np.random.default_rng(seed))


@settings(deadline=None)
@given(SEEDS)
def test_a_slip_never_makes_another_word_of_the_vocabulary(seed: int) -> None:
    text = "the left part from the right form inside a larger vein"
    wrong = typos.mistype(text, np.random.default_rng(seed))
    for before, after in zip(text.split(), wrong.split(), strict=True):
        assert after == before or after.lower() not in typos.vocabulary()


def test_slips_happen() -> None:
    rng = np.random.default_rng(0)
    for text in ("Segment the liver.", "请分割肝脏。"):
        wrong = {typos.mistype(text, rng) for _ in range(200)}
        assert len(wrong - {text}) >= 3


@pytest.mark.parametrize("text", ["[1] {a} it?", "是[1]。", ""])
def test_a_text_without_long_words_stays(text: str) -> None:
    assert typos.mistype(text, np.random.default_rng(0)) == text


@settings(deadline=None)
@given(QUESTIONS, SEEDS)
def test_short_forms_spare_references_and_gaps(text: str, seed: int) -> None:
    short = typos.abbreviate(text, np.random.default_rng(seed))
    assert markers(short) == markers(text)
    assert re.findall(r"\{\w+\}", short) == re.findall(r"\{\w+\}", text)


def test_short_forms() -> None:
    rng = np.random.default_rng(0)
    assert typos.abbreviate("Please show the inferior vena cava.", rng) in (
        "Pls show the IVC.",
        "Plz show the IVC.",
    )
    assert typos.abbreviate("what is left when [1] goes", rng) == "what is left when [1] goes"
    assert typos.abbreviate("分割下腔静脉", rng) in ("分割IVC", "分割下腔")


def test_no_confused_character_changes_a_side_a_size_or_a_negation() -> None:
    confused = set(typos._table()["confusions"])
    assert not confused & set("左右前后上下大小内外不勿没无和与间")
    wrong = "".join(c for options in typos._table()["confusions"].values() for c in options)
    assert not set(wrong) & set("左右前后上下大小内外不勿没无")


def link() -> Link:
    return Link(RelationKind.BETWEEN, ("liver", "spleen"), "stomach")


def test_a_voice_without_slips_draws_nothing_more() -> None:
    plain, silent = (
        Speaker("train", np.random.default_rng(3), ATLAS, *voice) for voice in ((), (Voice(),))
    )
    for named in (True, False) * 20:
        assert plain.relation_template(link(), named=named) == silent.relation_template(
            link(), named=named
        )
        assert plain.ask_name("liver") == silent.ask_name("liver")


def test_a_voice_with_slips_changes_words_but_neither_references_nor_request() -> None:
    voice = Voice(typo_share=1.0, abbreviation_share=1.0)
    speaker = Speaker("train", np.random.default_rng(3), ATLAS, voice)
    for _ in range(100):
        query = fill(speaker.relation_template(link(), named=False), ["[1]", "[2]"])
        assert sorted(markers(query)) == [1, 2]
        assert query.endswith(requests_without_name("train"))


def test_a_chinese_voice_speaks_chinese() -> None:
    speaker = Speaker("train", np.random.default_rng(4), ATLAS, Voice(language="zh"))
    for _ in range(50):
        for query in (
            speaker.ask_name("liver"),
            speaker.ask_pair("spleen", "left kidney"),
            speaker.ask_description("aorta") or "",
            speaker.relation_template(link(), named=False),
        ):
            assert chinese.is_chinese(query)
            assert not re.search(r"[A-Za-z]{3,}", query), query
    assert speaker.answer([("liver", 1), ("spleen", 2)]) == "肝脏是 [1]，脾脏是 [2]。"
    assert speaker.answer_unnamed(3) == "是 [3]。"
    assert speaker.answer_absent("left thalamus") == "图像中没有左丘脑。"
    assert speaker.ask_name("flux capacitor").count("flux capacitor") == 1
