"""The masks part goes on from a trained model, whose entities it may know only in part."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mediround.model.loading import load_unmerged
from mediround.training.parts.features import FeatureStore, View
from mediround.training.parts.masks import MasksPart
from mediround.training.parts.recipe import DatasetRecipe, MasksRecipe, Recipe

ENTITIES = ("liver", "unheard-of", "spleen")


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        preset="nano",
        datasets=(DatasetRecipe(folder="Dataset001", share=1.0),),
        masks=MasksRecipe(start="nano", images=1, code_steps=0),
    )


@pytest.fixture
def store(tmp_path: Path, recipe: Recipe) -> FeatureStore:
    """Two views with random features; each shows all entities, one below the other."""
    config = recipe.model
    canvas = config.normalisation.canvas
    shape = (2, canvas // 4, canvas // 4, config.tiny_vit.widths[-1])
    views = [View("Dataset001", "1", f"1_{n}", "train", 0) for n in range(2)]
    described = {
        "views": [dataclasses.asdict(view) for view in views],
        "entities": ENTITIES,
        "datasets": {"Dataset001": ENTITIES},
        "shape": shape,
    }
    (tmp_path / "views.json").write_text(json.dumps(described))
    labels = np.zeros((2, canvas, canvas), np.uint8)
    for number in range(1, len(ENTITIES) + 1):
        labels[:, 40 * number : 40 * number + 30, 60:120] = number
    np.save(tmp_path / "labels.npy", labels)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    np.memmap(tmp_path / "features.bin", np.int16, "w+", shape=shape)[:] = values.view(
        torch.int16
    ).numpy()
    return FeatureStore(tmp_path)


def test_training_goes_on_from_a_trained_model(
    recipe: Recipe, store: FeatureStore, tmp_path: Path
) -> None:
    part = MasksPart(recipe, store, tmp_path / "masks")
    trained = load_unmerged("nano")
    assert trained.codebook is not None
    for row, entity in enumerate(ENTITIES):
        known = [n for n, name in enumerate(trained.config.entities) if name == entity]
        for other in known:
            assert torch.equal(part.codes.tokens[row], trained.codebook.codes[other])
        assert len(known) == (entity != "unheard-of")
    own, others = part.segmenter.state_dict(), trained.segmenter.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in others.items())
    assert np.isfinite(part.step(5))


def test_codes_that_are_known_are_kept_while_new_ones_are_learned(
    recipe: Recipe, store: FeatureStore, tmp_path: Path
) -> None:
    masks = dataclasses.replace(recipe.masks, code_steps=10, code_rate=1e-2, warmup=1)
    part = MasksPart(dataclasses.replace(recipe, masks=masks), store, tmp_path / "masks")
    before = part.codes.tokens.detach().clone()
    part.step(1)
    changed = (part.codes.tokens != before).flatten(1).any(1)
    assert changed.tolist() == [False, True, False]
