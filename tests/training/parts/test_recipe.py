from __future__ import annotations

from pathlib import Path

import pytest

from mediround.data.synthesis.volume import SynthesisSettings
from mediround.errors import ConfigError
from mediround.presets import PRESETS
from mediround.training.parts.recipe import Recipe
from mediround.training.staged.recipe import DialogueRecipe, read_toml

RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.toml"))
SMALL = """
preset = "nano"
[masks]
steps = 3
[[datasets]]
folder = "Dataset001"
share = 1
[datasets.augmentation]
scale = [1, 1.5]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository_can_be_read(path: Path) -> None:
    if read_toml(path).get("kind") == "dialogues":
        assert DialogueRecipe.read(path).stage1.steps > 0
        return
    recipe = Recipe.read(path)
    assert recipe.model == PRESETS[recipe.preset]()
    assert recipe.datasets
    assert len({dataset.folder for dataset in recipe.datasets}) == len(recipe.datasets)
    assert recipe.masks.code_steps <= recipe.masks.steps
    assert recipe.language.identity_steps <= recipe.language.steps


def test_the_recipe_of_the_default_model_is_there() -> None:
    assert "nano" in [path.stem for path in RECIPES]


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path, SMALL))
    assert recipe.masks.steps == 3
    assert recipe.masks.images == 4
    assert recipe.datasets[0].share == 1.0
    assert recipe.datasets[0].augmentation.scale == (1.0, 1.5)
    assert not recipe.datasets[0].augmentation.mirror


def test_a_data_set_of_label_maps_says_how_its_images_are_made(tmp_path: Path) -> None:
    made = SMALL + "[datasets.synthesis]\nstep = 9\nthickness = [2, 4]\n"
    (dataset,) = Recipe.read(write(tmp_path, made)).datasets
    assert dataset.synthesis == SynthesisSettings(step=9.0, thickness=(2.0, 4.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("share = 1", "share = 1\nrepetitions = 2"), "has 2 repetitions"),
        ("colour = 1\n" + SMALL, r"recipe.toml has the unknown keys \['colour'\]"),
        (SMALL.replace("steps", "stops"), r"recipe.toml.masks has the unknown keys \['stops'\]"),
        (SMALL + "tilt = 3", r"datasets\[0\].augmentation has the unknown keys \['tilt'\]"),
        (SMALL.replace('"nano"', '"huge"'), "preset is 'huge'; expected one of"),
        (SMALL.replace("steps = 3", "steps = 2.5"), "masks.steps is 2.5; expected int"),
        (SMALL.replace("[1, 1.5]", "[1]"), "scale has 1 values; expected 2"),
        (SMALL.replace("share = 1", ""), "incomplete"),
        ('preset = "nano"', "incomplete"),
        ("preset =", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Recipe.read(write(tmp_path, text))


def test_a_missing_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Recipe.read(tmp_path / "nowhere.toml")


def test_a_preset_without_a_pretrained_encoder_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match="no pretrained encoder"):
        Recipe(preset="tiny", datasets=())
