"""Dialogues that were annotated before: files of them, the official format, built data sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.errors import DatasetError
from mediround.evaluation.evaluate import evaluate
from mediround.evaluation.material import find_material
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.pool import ModelSource
from mediround.evaluation.stored import typed_dialogues
from mediround.geometry import BoolMask

TINY = ModelSource("tiny", "cpu")
QUICK = EvaluationSettings(text="gold", curves=False, ablations=False, boundary=False)


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path, abdomen: Callable[..., dict[str, BoolMask]]) -> Path:
    """Three images with masks beside them."""
    for sub in ("images", "masks"):
        (tmp_path / sub).mkdir()
    for name in "abc":
        pixels = np.random.default_rng(ord(name)).integers(0, 255, (64, 64), np.uint8)
        PillowImage.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    for name, mask in abdomen().items():
        PillowImage.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def dialogue(masks: dict[str, BoolMask], image: str) -> Dialogue:
    first = Round(
        query="Segment the liver.",
        text="The liver is [1].",
        entities=(Entity.from_mask(1, masks["liver"], name="liver"),),
        relation=Relation(kind="name"),
    )
    second = Round(
        query="What lies behind [1]?",
        text="The aorta is [2].",
        entities=(Entity.from_mask(2, masks["aorta"], name="aorta", refers_to=(1,)),),
        relation=Relation(kind="behind", references=(1,), evidence={"needs_reference": 1.0}),
    )
    asks = Round(
        query="Which side is [1] on?",
        text="On the patient's right.",
        relation=Relation(kind="ask_side", references=(1,)),
    )
    return Dialogue(image=image, modality="CT", rounds=(first, second, asks))


def official(image: str) -> dict[str, Any]:
    turns = [
        ("human", f"[IMAGE256:images/{image}] Segment the liver.", None),
        ("gpt", "The liver is [MASK-DECODE:masks/liver.png].", None),
        (
            "human",
            "[MASK-ENCODE:masks/liver.png][BOX-ENCODE:masks/liver.png] What is beside it?",
            0,
        ),
        ("gpt", "It is [REF-DECODE:masks/liver.png][MASK-DECODE:masks/aorta.png].", None),
    ]
    return {
        "task": "segmentation",
        "base": "[null]",
        "conversations": [
            {"from": who, "value": value} | ({} if ind is None else {"ind": ind})
            for who, value, ind in turns
        ],
    }


def test_lines_of_typed_dialogues(
    folder: Path, abdomen: Callable[..., dict[str, BoolMask]], tmp_path: Path
) -> None:
    file = folder / "said.jsonl"
    made = [dialogue(abdomen(), f"images/{name}.png") for name in "abca"]
    lines = [each.model_dump(mode="json") for each in made[:3]]
    wrapped = {"dataset": "mine", "patient": "p7", "dialogue": made[3].model_dump(mode="json")}
    file.write_text("".join(json.dumps(line) + "\n" for line in (*lines, wrapped)))
    report = evaluate(TINY, file, tmp_path / "out", QUICK)
    assert report["data"]["kind"] == "typed dialogues"
    assert report["data"]["slices"] == {"said": 3, "mine": 1}
    assert report["rounds"]["all"]["n"] == 8
    assert report["answers_in_words"]["ask_side"]["share"] == 1  # gold text
    assert set(report["entities"]) == {"liver", "aorta"}
    assert set(report["kinds"]) == {"name", "behind"}


def test_one_dialogue_in_a_json_file(
    folder: Path, abdomen: Callable[..., dict[str, BoolMask]]
) -> None:
    file = folder / "one.json"
    file.write_text(dialogue(abdomen(), "images/a.png").model_dump_json())
    chosen, refused, is_official = typed_dialogues(file, None)
    assert (len(chosen), refused, is_official) == (1, {}, False)
    (each,) = chosen[0].read()
    assert set(each.masks()) == {"liver", "aorta"}


def test_official_brackets(folder: Path, tmp_path: Path) -> None:
    file = folder / "official.json"
    broken = official("c.png")
    broken["conversations"][1]["value"] = "Nothing."
    file.write_text(json.dumps([official("a.png"), official("b.png"), broken]))
    report = evaluate(TINY, file, tmp_path / "out", QUICK)
    assert report["data"]["kind"] == "official dialogues"
    assert report["rounds"]["all"]["n"] == 4
    assert "targets" in report["data"]["left_out"]["dialogue 3"]
    assert set(report["entities"]) == {"liver", "unnamed"}  # the second answer names nothing


def test_a_built_data_set(dataset: Path, tmp_path: Path) -> None:
    from mediround.cli import main

    built = tmp_path / "built"
    made = ["data", "build", str(dataset), "--out", str(built), "--dialogues", "12"]
    assert main(made) == 0
    settings = EvaluationSettings(split="all", text="gold", curves=False, ablations=False)
    found = find_material(built, settings, silent)
    assert found.kind == "built dialogues"
    held = sum(
        len(c.dialogues(e, settings.mixture, per_slice=None, seed=0))
        for c in found.chosen
        for e in c.read()
    )
    assert held >= 12
    assert len(find_material(built, EvaluationSettings(split="all", limit=2), silent).chosen) == 2
    with pytest.raises(DatasetError, match="no split|holds no"):
        find_material(built, EvaluationSettings(split="all", only=("Other",)), silent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{", "cannot be read as JSON"),
        ('{"rounds": 3}', "no dialogue of bad.json can be used: rounds"),
        ('{"rounds": []}', "names no image"),
        ('{"image": "../../etc/passwd", "rounds": []}', "leaves the folder"),
        ("[]", "it is empty"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content)
    with pytest.raises(DatasetError, match=message):
        find_material(file, QUICK, silent)


def test_masks_must_fit_their_image(
    folder: Path, abdomen: Callable[..., dict[str, BoolMask]]
) -> None:
    small = {name: mask[:40] for name, mask in abdomen().items()}
    file = folder / "small.json"
    file.write_text(dialogue(small, "images/a.png").model_dump_json())
    (chosen,) = typed_dialogues(file, None)[0]
    with pytest.raises(DatasetError, match="40 x 64 pixels"):
        list(chosen.read())
