"""Questions to learn from ask for what they say, and anything else mentions masks too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediround.config import QuestionConfig
from mediround.data.scene.relations import FACT_KINDS, RelationKind
from mediround.data.scene.relations_wide import WideKind
from mediround.data.words import wording
from mediround.dialogue import markers
from mediround.model.checkpoint import load_exactly, read_tensors
from mediround.model.questions import QuestionReader
from mediround.training.parts import questions as part
from mediround.training.parts.questions import Questions, QuestionsPart
from mediround.training.parts.recipe import DatasetRecipe, QuestionsRecipe, Recipe

NAMES = ("liver", "spleen", "left kidney")
RELATIONS = QuestionConfig().relations
TWO = {"larger_of", "smaller_of", "between"}


def drawn(split: wording.Split = "train", seed: int = 0) -> list[tuple[str, int]]:
    questions = Questions(NAMES, RELATIONS, split)
    return list(zip(*questions.draw(600, np.random.default_rng(seed)), strict=True))


def test_every_relation_of_the_configuration_is_known() -> None:
    assert {*RELATIONS} <= {*RelationKind, *WideKind, *FACT_KINDS}


def test_equal_generators_draw_equal_questions_of_every_kind() -> None:
    one = drawn()
    assert one == drawn()
    assert {label for _, label in one} == set(range(len(RELATIONS) + 1))


def test_questions_mention_as_many_masks_as_their_relation_has() -> None:
    for question, label in drawn():
        if label < len(RELATIONS):
            wanted = (1, 2) if RELATIONS[label] in TWO else (1,)
            assert markers(question) == wanted, question
        assert "{" not in question


def test_the_mention_of_a_mask_tells_nothing() -> None:
    anything_else = [question for question, label in drawn() if label == len(RELATIONS)]
    assert np.mean([bool(markers(question)) for question in anything_else]) > 0.9


def test_words_of_training_are_no_held_out_ones() -> None:
    seen = {question for question, _ in drawn()}
    assert not seen & {question for question, _ in drawn("heldout")}


def test_a_part_is_trained_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the pretrained words: two dozen questions can be learned by heart."""
    recipe = Recipe(
        preset="nano",
        datasets=(DatasetRecipe(folder="Dataset001", share=1.0),),
        questions=QuestionsRecipe(questions=24, watched=8, steps=250),
    )
    QuestionsPart(recipe, NAMES, tmp_path).train()
    tensors = read_tensors(tmp_path / "questions.safetensors")
    assert recipe.model.questions is not None
    reader = QuestionReader(recipe.model.questions, recipe.model.language.width).eval()
    load_exactly(reader, tensors, "reader")
    heard = read_tensors(tmp_path / "heard-train.safetensors")
    states, mask, labels = part._batch(heard, np.arange(24))
    assert (reader(states, mask).argmax(-1) == labels).float().mean() > 0.9
    monkeypatch.setattr(part, "listen", None)  # nothing is heard twice
    QuestionsPart(recipe, NAMES, tmp_path).train()
