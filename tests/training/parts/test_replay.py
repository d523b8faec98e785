"""Chat is made once, by the model as it was, and comes back as questions and answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mediround.config import LanguageConfig
from mediround.model.language_model import LanguageModel
from mediround.training.parts import replay
from mediround.training.parts.replay import plain_questions, replayed


def test_questions_are_many_and_none_comes_twice() -> None:
    assert len(set(plain_questions())) == len(plain_questions()) >= 50


def test_answers_are_sampled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "plain_questions", lambda: ("Why?", "What is a noun?"))
    monkeypatch.setattr(replay, "_LONGEST", 6)
    torch.manual_seed(0)
    language = LanguageModel.build(LanguageConfig(), torch.float32)
    path = tmp_path / "run" / "replay.json"
    made = replayed(language, path, 3, 2)
    assert [question for question, _ in made] == ["Why?", "What is a noun?"] * 2
    assert json.loads(path.read_text()) == [list(pair) for pair in made]
    assert replayed(language, path, 4, 1) == made
    again = replayed(language, tmp_path / "other.json", 3, 2)
    assert again == made
