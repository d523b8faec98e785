"""The parcellation learns made images of heads, and that other pictures show none of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from mediround.config import ModelConfig, ParcellationConfig
from mediround.data.synthesis.volume import SynthesisSettings
from mediround.errors import ConfigError
from mediround.model.checkpoint import read_tensors
from mediround.presets import nano
from mediround.training.parts.parcellation import ParcellationPart
from mediround.training.parts.pictures import Pictures
from mediround.training.parts.recipe import DatasetRecipe, ParcellationRecipe, Recipe

HEADS, OTHER = "Dataset001_Heads", "Dataset002_Other"


def small() -> ModelConfig:
    config = nano()
    return dataclasses.replace(
        config,
        normalisation=dataclasses.replace(config.normalisation, canvas=64),
        parcellation=ParcellationConfig(widths=(8, 12, 16)),
    )


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(Recipe, "model", property(lambda _: small()))
    synthesis = SynthesisSettings(step=8.0, thickness=(1.0, 2.0), noise=0.02)
    heads = DatasetRecipe(folder=HEADS, share=1.0, synthesis=synthesis)
    return Recipe(
        preset="nano",
        datasets=(DatasetRecipe(folder=OTHER, share=1.0),),
        parcellation=ParcellationRecipe(heads=heads, steps=6, images=4, strange_share=0.3),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five heads of two halves, five pictures of something else."""
    described = {
        "channel_names": {"0": "none"},
        "labels": {"background": 0, "left thalamus": 10, "right thalamus": 49},
        "file_ending": ".nii.gz",
    }
    heads = tmp_path / "data" / HEADS
    (heads / "labelsTr").mkdir(parents=True)
    (heads / "dataset.json").write_text(json.dumps(described))
    voxels = np.zeros((40, 48, 32), np.uint8)
    voxels[8:20, 10:38, 6:26], voxels[20:32, 10:38, 6:26] = 49, 10
    for number in range(5):
        image = nibabel.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
        nibabel.save(image, heads / "labelsTr" / f"head{number}x.nii.gz")
    other = tmp_path / "data" / OTHER
    for folder in ("imagesTr", "labelsTr"):
        (other / folder).mkdir(parents=True)
    told = {"channel_names": {"0": "US"}, "labels": {"nerve": 1}, "file_ending": ".png"}
    (other / "dataset.json").write_text(json.dumps(told))
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 255, (40, 40)).astype(np.uint8)
        PillowImage.fromarray(pixels).save(other / "imagesTr" / f"scan{number}x_0000.png")
        PillowImage.fromarray(np.eye(40, dtype=np.uint8)).save(
            other / "labelsTr" / f"scan{number}x.png"
        )
    return tmp_path / "data"


def test_pictures_are_divided_by_patient(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    assert recipe.parcellation is not None
    made = Pictures.made(recipe, recipe.parcellation.heads, data, tmp_path / "pictures", 1)
    assert made.entities == ["left thalamus", "right thalamus"]
    assert made.count("train") == 4 * made.count("validation")
    assert made.count("strange") == 4
    canvas, labels = made.of("train", made.count("train") // 8)
    assert canvas.shape == labels.shape == (64, 64)
    left, right = ((labels == value).nonzero()[1].mean() for value in (1, 2))
    assert left > right  # in radiological display
    assert not made.of("strange", 0)[1].any()


def test_a_run_goes_on_where_it_was_killed(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    whole = ParcellationPart(recipe, data, tmp_path / "whole", 1)
    whole.train()
    written = read_tensors(tmp_path / "whole" / "parcellation.safetensors")
    assert written.keys() == whole.network.state_dict().keys()

    halted = ParcellationPart(recipe, data, tmp_path / "halted", 1)
    for step in range(3):
        halted.step(step)
    halted.ledger.save(3, {"parcellation": halted.network}, halted.optimiser)
    resumed = ParcellationPart(recipe, data, tmp_path / "halted", 1)
    resumed.train()
    for name, tensor in resumed.network.state_dict().items():
        assert torch.equal(tensor, written[name]), name


def test_it_learns(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    assert recipe.parcellation is not None
    longer = dataclasses.replace(recipe.parcellation, steps=120, rate=0.01)
    part = ParcellationPart(
        dataclasses.replace(recipe, parcellation=longer), data, tmp_path / "part", 1
    )
    before = part.validate()
    part.train()
    after = part.validate()
    assert after["mean"] > max(0.6, before["mean"])
    assert after["strange"] < 0.1
    assert not torch.equal(part.network.trust, torch.tensor([1.0, 0.0]))


def test_a_recipe_without_heads_is_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    bare = dataclasses.replace(recipe, parcellation=None)
    with pytest.raises(ConfigError, match="parcellation"):
        ParcellationPart(bare, data, tmp_path, 1)
