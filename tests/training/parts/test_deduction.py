"""Weights of masks and perception are fitted to what labels say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mediround.data.sources import Split
from mediround.model.checkpoint import read_tensors
from mediround.model.deduction import EVIDENCE, PRESENCE
from mediround.model.loading import load_unmerged
from mediround.training.parts.conversations import Conversations
from mediround.training.parts.deduction import DeductionPart, _fit
from mediround.training.parts.features import FeatureStore, View
from mediround.training.parts.recipe import DatasetRecipe, DeductionRecipe, Recipe

FOLDER = "Dataset001"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A view for either split with random features; four structures side by side."""
    model = load_unmerged("nano")
    canvas = model.config.normalisation.canvas
    shape = (2, canvas // 4, canvas // 4, model.config.tiny_vit.widths[-1])
    views = [View(FOLDER, split, split, split, 0) for split in ("train", "validation")]
    described = {
        "views": [dataclasses.asdict(view) for view in views],
        "entities": model.config.entities,
        "datasets": {FOLDER: model.config.entities},
        "shape": shape,
    }
    (tmp_path / "views.json").write_text(json.dumps(described))
    labels = np.zeros((2, canvas, canvas), np.uint8)
    for place in range(4):
        labels[:, 100:130, 20 + 60 * place : 50 + 60 * place] = place + 1
    np.save(tmp_path / "labels.npy", labels)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    np.memmap(tmp_path / "features.bin", np.int16, "w+", shape=shape)[:] = values.view(torch.int16)
    return FeatureStore(tmp_path)


def test_a_part_is_fitted_to_views_and_says_how_well(store: FeatureStore, tmp_path: Path) -> None:
    recipe = Recipe(
        preset="nano",
        datasets=(DatasetRecipe(folder=FOLDER, share=1.0),),
        deduction=DeductionRecipe(views=1, watched=1),
    )
    splits: tuple[Split, ...] = ("train", "validation")
    talks = {
        split: Conversations(recipe, store, {FOLDER: True}, patients=split) for split in splits
    }
    DeductionPart(recipe, load_unmerged("nano"), talks, tmp_path / "deduction").train()
    tensors = read_tensors(tmp_path / "deduction" / "deduction.safetensors")
    assert tensors["presence"].shape == (PRESENCE + 1,)
    assert tensors["weights"].shape == (4, EVIDENCE)
    assert all(each.isfinite().all() for each in tensors.values())
    log = (tmp_path / "deduction" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in log] == ["train", "validation"]


def test_fitting_finds_the_minimum() -> None:
    weights = torch.nn.Parameter(torch.zeros(2))
    goal = torch.tensor([1.0, -2.0])
    _fit(weights, lambda: (weights - goal).square().sum(), decay=1.0)
    torch.testing.assert_close(weights.detach(), goal / 2, rtol=1e-4, atol=1e-4)
