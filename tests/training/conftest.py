"""Dialogues about painted pictures, as files: what a run can learn from within a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.dialogue import Dialogue, Entity, Round
from mediround.training.staged.recipe import DialogueRecipe

SIDE = 48
NAMES = ("liver", "spleen", "aorta")


def _disc(row: int, column: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def _talk(image: str, masks: list[NDArray[np.bool_]], rounds: int) -> Dialogue:
    said = []
    for number in range(1, rounds + 1):
        name = NAMES[(number - 1) % len(NAMES)]
        query = f"Segment the {name}." if number == 1 else f"Now the {name} beside [{number - 1}]."
        mask = masks[(number - 1) % len(masks)]
        entity = Entity.from_mask(number, mask, name=name)
        said.append(Round(query=query, text=f"The {name} is [{number}].", entities=(entity,)))
    chat = Round(query="What is this picture?", text="A painted abdomen.")
    return Dialogue(image=image, modality="CT", rounds=(*said, chat))


@pytest.fixture(scope="session")
def talks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve dialogues of one to four rounds about six pictures, by six patients."""
    folder = tmp_path_factory.mktemp("talks")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(6):
        masks = [
            _disc(14 + number, 12, 8), _disc(30, 34 - number, 7), _disc(16, 36, 4)
        ]  # fmt: skip
        pixels = rng.integers(20, 60, (SIDE, SIDE)).astype(np.uint8)
        for brightness, mask in zip((120, 170, 220), masks, strict=True):
            pixels[mask] = brightness
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
        for rounds in (1 + number % 2, 3 + number % 2):
            dialogue = _talk(f"{number}.png", masks, rounds)
            line = json.loads(dialogue.model_dump_json(exclude_none=True))
            lines.append(json.dumps({"patient": f"p{number}", "dialogue": line}))
    path = folder / "talks.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def recipe(talks_file: Path) -> Callable[..., DialogueRecipe]:
    """A recipe of a few steps; keyword arguments are tables of the file."""

    def make(preset: str = "tiny", **tables: Any) -> DialogueRecipe:
        stage = {"steps": 3, "dialogues": 4, "rate": 1e-3, "warmup": 1, "validate_every": 100}
        values: dict[str, Any] = {
            "preset": preset,
            "seed": 3,
            "data": {"sources": [str(talks_file)], "held_out": 0.2} | tables.pop("data", {}),
            "stage1": stage | tables.pop("stage1", {}),
            "stage2": stage | tables.pop("stage2", {}),
            "log": {"tensorboard": False, "plot": False} | tables.pop("log", {}),
        }
        return DialogueRecipe.parse(values | tables, "recipe", talks_file.parent)

    return make


@pytest.fixture(autouse=True)
def _one_accelerator_a_test() -> None:
    # Accelerate keeps the first one's precision for the whole process.
    AcceleratorState._reset_state(True)
