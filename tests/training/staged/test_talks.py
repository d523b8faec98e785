"""Dialogues are found wherever they are, and no patient is on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediround.errors import DatasetError
from mediround.imaging import Modality
from mediround.training.staged.recipe import DataSettings
from mediround.training.staged.talks import find_talks, fingerprints


def test_a_file_is_split_by_patient(talks_file: Path) -> None:
    found = find_talks([talks_file], DataSettings(held_out=0.5))
    sides = {
        split: {talk.pictured.held.patient for talk in talks}  # type: ignore[attr-defined]
        for split, talks in found.items()
    }
    assert sides["train"]
    assert sides["validation"]
    assert not sides["train"] & sides["validation"]
    assert sum(map(len, found.values())) == 12
    assert len({talk.key for talks in found.values() for talk in talks}) == 12
    talk = found["train"][0]
    assert talk.pictured.image().size == (48, 48)
    assert talk.dialogue.rounds[0].query.startswith("Segment the")


def test_pixels_are_of_the_modality_that_the_dialogue_says(talks_file: Path) -> None:
    first = json.loads(talks_file.read_text().splitlines()[0])
    first["dialogue"]["modality"] = "US"
    told = talks_file.with_name("told.jsonl")
    told.write_text(json.dumps(first))
    (talk,) = find_talks([told], DataSettings(held_out=0.0))["train"]
    assert talk.pictured.image().modality is Modality.US


def test_a_limit_spreads(talks_file: Path) -> None:
    everything = find_talks([talks_file], DataSettings(held_out=0.0))["train"]
    few = find_talks([talks_file], DataSettings(held_out=0.0, limit=4))["train"]
    assert len(few) == 4
    assert set(few) <= set(everything)


def test_what_cannot_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no"):
        find_talks([tmp_path], DataSettings())
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(DatasetError):
        find_talks([tmp_path / "none.json"], DataSettings())


def test_the_official_format(tmp_path: Path, golden: Path) -> None:
    source = golden / "data" / "B_three_rounds_back_to_first.json"
    found = find_talks([source], DataSettings(held_out=0.0))["train"]
    assert len(found) == len(json.loads(source.read_text()))
    assert len(found[0].dialogue.rounds) == 3


def test_fingerprints_change_with_the_data(talks_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "talks.jsonl"
    copy.write_bytes(talks_file.read_bytes())
    assert fingerprints([copy]) == fingerprints([talks_file])
    copy.write_bytes(talks_file.read_bytes() + b"\n")
    assert fingerprints([copy]) != fingerprints([talks_file])
