"""Rich dialogues in Chinese: every kind of round, true, and Chinese from end to end."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from mediround.data.dialogues import enquiries
from mediround.data.dialogues.builder import DialogueSettings, draw_dialogues, measure
from mediround.data.inspection.necessity import Told, text_only_oracle
from mediround.data.scene.relations import Scene
from mediround.data.words import chinese
from mediround.data.words.wording import Split
from mediround.dialogue import Dialogue, Round
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]

ACCEPTED = re.compile(
    r"(?<![A-Za-z])(?:CT|MRI|FLAIR|DICOM|Dice|T1|T2|X|Y|[CTLS]\d{1,2})(?![A-Za-z])"
)
"""Abbreviations that Chinese reports use as they are; short forms of names ("GB") are slips."""


@pytest.fixture(params=[True, False], ids=["oriented", "unknown"])
def abdomen(upper_abdomen: Masks, request: pytest.FixtureRequest) -> Scene:
    return measure(upper_abdomen, oriented=request.param)


def drawn(scene: Scene, count: int, split: Split = "train", **changes: float) -> list[Dialogue]:
    shares = {"chinese_share": 1.0, "abbreviation_share": 0.0, **changes}
    settings = DialogueSettings.rich(wording_split=split, **shares)
    rng = np.random.default_rng(5)
    found: list[Dialogue] = []
    for _ in range(count):
        found += draw_dialogues(
            {}, rng, settings=settings, modality="CT", oriented=True, scene=scene,
            region_names=(*scene.shapes, "gallbladder"), complete=True,
        )  # fmt: skip
    return found


def rounds_of(dialogues: list[Dialogue]) -> list[Round]:
    return [each for dialogue in dialogues for each in dialogue.rounds]


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_no_latin_word_but_markers_and_abbreviations(abdomen: Scene, split: Split) -> None:
    for each in rounds_of(drawn(abdomen, 250, split)):
        for text in (each.query, each.text):
            assert chinese.is_chinese(text)
            assert not re.search(r"[A-Za-z{}]", ACCEPTED.sub("", text)), text
            assert not re.search(r"[?,!;]|[^\d]\.|\s{2}", text), text  # of Western writing


def test_every_kind_of_round_is_drawn(abdomen: Scene) -> None:
    dialogues = drawn(abdomen, 200, necessary_share=0.6, several_share=0.5, twin_share=0.0)
    kinds = Counter(each.relation.kind for each in rounds_of(dialogues) if each.relation)
    assert {
        *("name", "describe", "absent", "talk", "several", "either", "correction", "premise"),
        *("identity", "counterpart", "nearest_to", "largest_of", "smallest_of", "nth_from_top"),
        *("ask_total", "ask_name", "ask_size", "ask_side", "ask_where", "ask_larger", "ask_order"),
    } <= set(kinds)


def test_answers_are_computed_from_the_masks(abdomen: Scene) -> None:
    for dialogue in drawn(abdomen, 150):
        names = {entity.id: str(entity.name) for entity in dialogue.entities()}
        for each in dialogue.rounds:
            assert each.relation is not None
            kind = each.relation.kind
            if kind in enquiries.WEIGHTS:
                about = tuple(names[number] for number in each.relation.references)
                assert each.text == enquiries.answer(abdomen, kind, about, "zh")


def test_three_fifths_of_later_rounds_need_their_references(abdomen: Scene) -> None:
    later = [each for dialogue in drawn(abdomen, 120) for each in dialogue.rounds[1:]]
    marked = [each.relation.evidence["needs_reference"] for each in later if each.relation]
    assert sum(marked) >= 0.6 * len(later)


def test_the_oracle_answers_few_of_the_rounds_that_are_marked(upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=True)
    told = [Told("d", str(n % 10), each) for n, each in enumerate(drawn(scene, 250))]
    report = text_only_oracle(told)
    assert report.marked > 200
    assert report.passed()


def test_what_an_answer_in_chinese_names_the_oracle_remembers() -> None:
    from mediround.data.inspection.necessity import _mentioned

    assert _mentioned("左肾较大，在本图中其面积约为脾脏的 2 倍。") == ("left kidney", "spleen")
    assert _mentioned("是 [1]。") == ()


def test_twins_are_chinese_too(abdomen: Scene) -> None:
    pairs = drawn(abdomen, 30, twin_share=1.0)
    assert all(chinese.is_chinese(each.query + each.text) for each in rounds_of(pairs))
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        assert [each.query for each in one.rounds] == [each.query for each in other.rounds]
