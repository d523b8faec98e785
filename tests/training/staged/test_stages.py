"""What a stage trains is what it says, and all of it is kept."""

from __future__ import annotations

import pytest

from mediround.config import CorrectionConfig
from mediround.errors import ConfigError
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.presets import PRESETS
from mediround.training.staged.stages import freeze


def trained(model: MediRound) -> set[str]:
    return {name for name, each in model.named_parameters() if each.requires_grad}


@pytest.fixture(scope="module")
def model() -> MediRound:
    return compose(PRESETS["tiny"]())


def test_the_two_stages_share_nothing(model: MediRound) -> None:
    freeze(model, 1)
    first = trained(model)
    freeze(model, 2)
    second = trained(model)
    assert not first & second
    assert {name.split(".")[0] for name in second} == {"judge"}
    assert any("lora_" in name for name in first)
    assert not any(name.startswith("segmenter.vision.layers.") for name in first)


def test_other_parts_by_name(model: MediRound) -> None:
    freeze(model, 1, ["lora_", "projection."])
    assert {name.split(".")[0] for name in trained(model)} == {"language", "projection"}
    assert all("lora_" in name for name in trained(model) if name.startswith("language"))


@pytest.mark.parametrize(
    ("prefix", "said"),
    [("head.", "no parameter's name"), ("language.inner.model.norm", "not be saved")],
)
def test_what_cannot_be_trained(model: MediRound, prefix: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        freeze(model, 1, [prefix])


def test_nothing_to_judge_with() -> None:
    import dataclasses

    config = dataclasses.replace(PRESETS["tiny"](), correction=CorrectionConfig(judge=None))
    with pytest.raises(ConfigError, match="nothing to train"):
        freeze(compose(config), 2)
