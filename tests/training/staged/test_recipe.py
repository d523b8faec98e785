"""A recipe says what it means, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediround.cli import main
from mediround.errors import ConfigError
from mediround.training.staged.recipe import DialogueRecipe

RECIPES = Path(__file__).parents[3] / "recipes"


def parse(**values: Any) -> DialogueRecipe:
    return DialogueRecipe.parse({"preset": "tiny", **values}, "r.toml", Path())


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_recipes_that_come_with_it(name: str) -> None:
    recipe = DialogueRecipe.read(RECIPES / f"{name}.toml")
    assert recipe.stage(1).steps > recipe.stage(2).steps > 0


def test_the_model_may_be_changed_deep_inside() -> None:
    recipe = parse(model={"language": {"lora_rank": 4, "lora_targets": ["q_proj"]}})
    assert recipe.model.language.lora_rank == 4
    assert recipe.model.language.lora_targets == ("q_proj",)
    assert recipe.model.language.width == 64
    other = parse(preset="official-tiny", model={"correction": {"judge": "evidence"}})
    assert other.model.correction.judge == "evidence"
    assert other.model.correction.corrector


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stepz": 1}, "unknown keys"),
        ({"stage1": {"step": 1}}, "unknown keys"),
        ({"stage1": {"losses": {"iou": 1.0}}}, "unknown keys"),
        ({"model": {"language": {"rank": 4}}}, "unknown keys"),
        ({"model": 3}, "expected a table"),
        ({"preset": "huge"}, "preset is 'huge'"),
        ({"folder": "x"}, "unknown key 'folder'"),
        ({"stage1": {"steps": 0}}, "at least 1"),
        ({"stage2": {"patience": -1}}, "at least 0"),
        ({"execution": {"micro_batch": 0}}, "at least 1"),
        ({"execution": {"precision": "int8"}}, "one of"),
        ({"execution": {"frozen": "bfloat16"}}, "the same type"),
        (
            {"execution": {"sharding": "fsdp2", "frozen": "bfloat16", "precision": "bfloat16"}},
            "one type",
        ),
        ({"data": {"held_out": 1.0}}, "below 1"),
        ({"data": {"views": 0}}, "at least 1"),
        ({"log": {"every": 0}}, "at least 1"),
    ],
)
def test_what_is_wrong(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(**values)


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.toml"
    path.write_text('kind = "dialogues"\npreset = "tiny"\n[stage1]\nsteps = 3\nstpes = 3\n')
    assert main(["train", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "unknown keys ['stpes']" in capsys.readouterr().err
    path.write_text('kind = "pictures"\n')
    assert main(["train", str(path)]) == 2
    assert "expected dialogues" in capsys.readouterr().err
    path.write_text('kind = "dialogues"\npreset = "tiny"\n')
    assert main(["train", str(path), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert "names no data" in capsys.readouterr().err
    assert main(["train", str(path), "--part", "masks"]) == 2
    assert "a recipe that trains parts" in capsys.readouterr().err
