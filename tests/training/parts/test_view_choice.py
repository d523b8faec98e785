"""Views are drawn evenly, or for the sake of rare entities."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np

from mediround.training.parts.features import FeatureStore, View
from mediround.training.parts.recipe import DatasetRecipe, Recipe
from mediround.training.parts.view_choice import TrainingViews, ViewChoice

SHOWN = {10: [0], 11: [0], 12: [0], 13: [0, 1]}
"""Entity 1 is in one view of four."""


def test_without_a_share_every_view_is_as_likely_and_nothing_is_sought() -> None:
    rng = np.random.default_rng(0)
    drawn = [ViewChoice(SHOWN, 0.0).draw(rng) for _ in range(4000)]
    counts = Counter(view for view, _ in drawn)
    assert all(abs(counts[view] - 1000) < 120 for view in SHOWN)
    assert {sought for _, sought in drawn} == {None}


def test_a_sought_entity_is_in_its_view_and_rare_ones_are_sought_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [ViewChoice(SHOWN, 1.0).draw(rng) for _ in range(4000)]
    sought = Counter(entity for _, entity in drawn)
    assert set(sought) == {0, 1}
    assert abs(sought[1] - 2000) < 150
    assert all(entity in SHOWN[view] for view, entity in drawn)


def test_the_share_says_how_often_something_is_sought() -> None:
    rng = np.random.default_rng(0)
    choice = ViewChoice(SHOWN, 0.25)
    found = sum(choice.draw(rng)[1] is not None for _ in range(4000))
    assert abs(found - 1000) < 120


def test_data_sets_are_drawn_by_their_shares_and_training_views_alone(tmp_path: Path) -> None:
    views = [
        View(dataset, str(patient), f"{patient}_0", "validation" if patient == 3 else "train", 0)
        for dataset in ("first", "second")
        for patient in range(4)
    ]
    described = {
        "views": [dataclasses.asdict(view) for view in views],
        "entities": ("liver", "spleen"),
        "datasets": {"first": ("liver",), "second": ("spleen",)},
        "shape": (len(views), 1, 1, 1),
    }
    (tmp_path / "views.json").write_text(json.dumps(described))
    np.zeros(len(views), np.int16).tofile(tmp_path / "features.bin")
    labels = np.zeros((len(views), 4, 4), np.uint8)
    labels[:4], labels[4:] = 1, 2
    np.save(tmp_path / "labels.npy", labels)
    datasets = (DatasetRecipe(folder="first", share=1.0), DatasetRecipe(folder="second", share=3.0))
    recipe = Recipe(preset="nano", datasets=datasets)
    choice = TrainingViews(recipe, FeatureStore(tmp_path), 1.0)
    rng = np.random.default_rng(0)
    drawn = [choice.draw(rng) for _ in range(400)]
    assert abs(sum(dataset == "second" for dataset, _, _ in drawn) - 300) < 40
    assert {(dataset, sought) for dataset, _, sought in drawn} == {("first", 0), ("second", 1)}
    assert {row for _, row, _ in drawn} == {0, 1, 2, 4, 5, 6}
