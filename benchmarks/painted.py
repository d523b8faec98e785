"""Painted pictures with dialogues about them: data for benchmarks, made in a second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.dialogue import Dialogue, Entity, Round

NAMES = ("liver", "spleen", "left kidney", "right kidney", "stomach", "pancreas", "aorta")
ASKS = (
    "Now the {} beside [{}].",
    "Please mark the {} that lies next to the structure [{}], if it can be seen here.",
    "Show the {}, with [{}] as a landmark.",
)


def write_talks(
    folder: Path, *, images: int, side: int, rounds: tuple[int, int], talks: int = 2
) -> Path:
    """Pictures, and a file of typed dialogues about them.

    Args:
        folder: new.
        images: pictures, each of a patient of its own.
        side: of a picture in pixels.
        rounds: fewest and most of a dialogue.
        talks: dialogues about each picture.

    Returns:
        The file of dialogues.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(images):
        masks = [_disc(side, rng) for _ in NAMES]
        pixels = rng.integers(15, 60, (side, side)).astype(np.uint8)
        for place, mask in enumerate(masks):
            pixels[mask] = 90 + 20 * place
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
        for _ in range(talks):
            count = int(rng.integers(rounds[0], rounds[1] + 1))
            said = [_round(place + 1, masks[place % len(masks)], rng) for place in range(count)]
            dialogue = Dialogue(image=f"{number}.png", modality="CT", rounds=tuple(said))
            content = json.loads(dialogue.model_dump_json(exclude_none=True))
            lines.append(json.dumps({"patient": f"p{number}", "dialogue": content}))
    path = folder / "talks.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def _round(number: int, mask: NDArray[np.bool_], rng: np.random.Generator) -> Round:
    name = NAMES[(number - 1) % len(NAMES)]
    query = f"Segment the {name}."
    if number > 1:
        query = ASKS[int(rng.integers(len(ASKS)))].format(name, int(rng.integers(1, number)))
    entity = Entity.from_mask(number, mask, name=name)
    return Round(query=query, text=f"The {name} is [{number}].", entities=(entity,))


def _disc(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    radius = int(rng.integers(side // 12, side // 6))
    row, column = rng.integers(radius, side - radius, 2)
    rows, columns = np.mgrid[:side, :side]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)
