"""Counts agree with what was counted by hand, and the pictures show something."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.data.building.build import build
from mediround.data.building.settings import BuildSettings
from mediround.data.inspection.contact_sheet import contact_sheets
from mediround.data.inspection.plots import draw_plots
from mediround.data.inspection.stats import Statistics, _length, statistics
from mediround.data.shards import DialogueFolder
from mediround.data.sources import open_sources
from mediround.dialogue import markers


@pytest.fixture(scope="module")
def folder(labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stats") / "out"
    build(open_sources(labelled_folder), out, BuildSettings(dialogues=80, seed=2))
    return out


def test_counts(folder: Path) -> None:
    found = statistics(folder)
    records = list(DialogueFolder(folder).records())
    rounds = [each for record in records for each in record.dialogue.rounds]
    assert sum(found.dialogues.values()) == len(records) == 80
    assert sum(found.kinds.values()) == len(rounds) == sum(found.query_words.values())
    assert found.rounds.total() == 80
    assert sum(n * count for n, count in found.rounds.items()) == len(rounds)
    referred = [set(markers(each.query)) for each in rounds]
    assert found.back.total() == sum(map(len, referred))
    assert found.references[0] == sum(not numbers for numbers in referred)
    masks = [e for each in rounds for e in each.entities if e.mask is not None]
    assert found.entities.total() == len(masks)
    assert found.edges.total() == sum(len(entity.refers_to) for entity in masks)
    assert found.questions <= len(rounds)
    assert json.loads(json.dumps(found.as_json()))["twins"] == found.twins


def test_a_chinese_question_has_as_many_words_as_characters() -> None:
    assert _length("Segment the liver [1].") == 4
    assert _length("请分割 [1] 旁边的结构。") == 10


def test_plots(folder: Path, tmp_path: Path) -> None:
    paths = draw_plots(statistics(folder), tmp_path)
    assert [path.stem for path in paths] == [
        "rounds", "relations", "entities", "modalities", "lengths", "references",
        "reference-graph",
    ]  # fmt: skip
    for path in paths:
        with PillowImage.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_plots_of_nothing(tmp_path: Path) -> None:
    assert len(draw_plots(Statistics(), tmp_path)) == 7


def test_contact_sheets(folder: Path, tmp_path: Path) -> None:
    paths = contact_sheets(folder, tmp_path / "one", dialogues=9)
    assert [path.name for path in paths] == ["dialogues-1.png", "dialogues-2.png"]
    again = contact_sheets(folder, tmp_path / "two", dialogues=9)
    for one, other in zip(paths, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with PillowImage.open(paths[0]) as picture:
        assert np.asarray(picture.convert("L")).std() > 20
