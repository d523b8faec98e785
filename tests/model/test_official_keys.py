"""Names of official checkpoints and ours: every one, both ways."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from tests import official

from mediround.errors import WeightsError
from mediround.model.checkpoint import stored_name
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.official.keys import to_official, to_ours
from mediround.presets import official_tiny


@pytest.fixture(scope="module")
def adapted() -> MediRound:
    with torch.device("meta"):
        return compose(official.official_config(lora=True))


def test_every_tensor_of_ours_has_an_official_name_and_back(adapted: MediRound) -> None:
    stored = [stored_name(name) for name in adapted.state_dict()]
    names = [to_official(name) for name in stored]
    assert len(set(names)) == len(names) == 264
    assert [to_ours(name) for name in names] == stored


def test_every_recorded_tensor_has_a_place_of_its_shape(golden: Path, adapted: MediRound) -> None:
    recorded = json.loads((golden / "checkpoints" / "keys.json").read_text())
    own = {stored_name(name): list(each.shape) for name, each in adapted.state_dict().items()}
    plain = {to_ours(name): shape for name, shape in recorded["plain"].items()}
    lora = {
        to_ours(stored_name(name.removeprefix("base_model.model."))): shape
        for name, shape in recorded["lora_r8"].items()
    }
    assert lora == own
    assert plain == {name: shape for name, shape in own.items() if "lora_" not in name}


def test_without_judge_there_are_no_names_of_one() -> None:
    config = official_tiny()
    correction = dataclasses.replace(config.correction, judge=None, corrector=False)
    with torch.device("meta"):
        model = compose(dataclasses.replace(config, correction=correction))
    names = [to_official(stored_name(name)) for name in model.state_dict()]
    assert len(names) == 244
    assert not [name for name in names if "MLP" in name and "output_hyper" not in name]


@pytest.mark.parametrize(
    "name",
    ["", "model", "model.unknown.weight", "head.weight", "model.visual_model.image_encoder.rope"],
)
def test_an_unknown_official_name_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="no tensor is called"):
        to_ours(name)


@pytest.mark.parametrize("name", ["", "language.seg_in", "segmenter.vision.neck.0.weight"])
def test_an_unknown_name_of_ours_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="no official tensor"):
        to_official(name)
