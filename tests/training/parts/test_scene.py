"""The scene learns from every structure of a view, and its share in masks is chosen by Dice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.model.loading import load_unmerged
from mediround.model.segmenter import Segmenter
from mediround.training.parts.features import FeatureStore, View
from mediround.training.parts.recipe import DatasetRecipe, Recipe, SceneRecipe
from mediround.training.parts.scene import SHARES, ScenePart

ENTITIES = ("liver", "spleen")


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        preset="nano",
        datasets=(DatasetRecipe(folder="Dataset001", share=1.0),),
        scene=SceneRecipe(steps=4, images=1, weighed=1),
    )


@pytest.fixture
def part(tmp_path: Path, recipe: Recipe) -> ScenePart:
    """One view with random features, of which the left half is liver; a random segmenter."""
    config = recipe.model
    canvas = config.normalisation.canvas
    shape = (1, canvas // 4, canvas // 4, config.tiny_vit.widths[-1])
    described = {
        "views": [dataclasses.asdict(View("Dataset001", "1", "1_0", "train", 0))],
        "entities": ENTITIES,
        "datasets": {"Dataset001": ENTITIES},
        "shape": shape,
    }
    (tmp_path / "views.json").write_text(json.dumps(described))
    labels = np.zeros((1, canvas, canvas), np.uint8)
    labels[:, :, : canvas // 2] = 1
    np.save(tmp_path / "labels.npy", labels)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    stored = np.memmap(tmp_path / "features.bin", np.int16, "w+", shape=shape)
    stored[:] = values.view(torch.int16).numpy()
    torch.manual_seed(0)
    write_tensors(tmp_path / "segmenter.safetensors", Segmenter(config).state_dict(), {})
    codes = torch.randn(len(ENTITIES), config.decoder.prompt_tokens, config.decoder.width)
    write_tensors(tmp_path / "codes.safetensors", {"tokens": codes}, {})
    return ScenePart(recipe, FeatureStore(tmp_path), tmp_path, tmp_path / "scene")


def test_a_run_writes_what_it_learned(part: ScenePart) -> None:
    before = part.step(0)
    part.train()
    assert part.step(3) < before
    written = read_tensors(part.ledger.folder / "scene.safetensors")
    assert written.keys() == part.scene.state_dict().keys()
    lines = (part.ledger.folder / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    weighed = [line for line in log if "structure" in line]
    assert [line["structure"] for line in weighed] == ["liver"]
    assert len(weighed[0]["dice"]) == len(SHARES)


def test_training_goes_on_from_a_trained_scene(part: ScenePart, tmp_path: Path) -> None:
    trained = load_unmerged("nano")
    assert trained.scene is not None
    recipe = dataclasses.replace(part.recipe, scene=SceneRecipe(start="nano"))
    taken = ScenePart(recipe, part.store, tmp_path, tmp_path / "on").scene
    own, theirs = taken.state_dict(), trained.scene.state_dict()
    rows = [trained.config.entities.index(entity) for entity in ENTITIES]
    told = [0, *(row + 1 for row in rows)]
    assert torch.equal(own["share"], theirs["share"][rows])
    assert torch.equal(own["tell.weight"], theirs["tell.weight"][told])
    assert torch.equal(own["tell.bias"], theirs["tell.bias"][told])
    assert torch.equal(own["places"], theirs["places"])


@pytest.mark.parametrize(
    ("dices", "share"),
    [
        ((0.5, 0.6, 0.7, 0.65, 0.1), 0.5),
        ((0.5, 0.505, 0.509, 0.3, 0.1), 0.0),  # not worth it
        ((0.5, 0.4, 0.3, 0.2, 0.9), 1.0),
        ((0.5, 0.6, 0.695, 0.7, 0.701), 0.5),  # more is not worth it
    ],
)
def test_the_least_share_near_the_best_is_taken(
    part: ScenePart, monkeypatch: pytest.MonkeyPatch, dices: tuple[float, ...], share: float
) -> None:
    monkeypatch.setattr(part, "_compared", lambda _: {1: list(dices)})
    part.weigh()
    assert part.scene.share.tolist() == [0.0, share]
