"""Labelled phantoms: painted abdomens with annotations, for runs without any real data.

    python -m benchmarks.phantoms OUT --images 160

Six organs, each at its usual place with its usual brightness, jittered; one in six is left out of
each picture. Written as COCO json with run lengths, one picture a patient.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from mediround.dialogue import Rle

SIDE = 96
# name -> (row, column, row radius, column radius, brightness); row 0 anterior, column 0 right
ORGANS = {
    "liver": (38, 24, 20, 15, 150),
    "stomach": (28, 62, 10, 13, 95),
    "spleen": (54, 80, 13, 7, 180),
    "right kidney": (68, 30, 9, 7, 205),
    "left kidney": (68, 68, 9, 7, 205),
    "aorta": (62, 52, 5, 5, 235),
}
_BODY, _LEFT_OUT = 60, 1 / 6


def paint(rng: np.random.Generator) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A picture (SIDE, SIDE) and its organs' masks."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    body = ((rows - 48) / 44) ** 2 + ((columns - 48) / 46) ** 2 <= 1
    pixels = np.where(body, _BODY, 0).astype(np.float64)
    shift = rng.uniform(-4, 4, 2)
    masks: dict[str, NDArray[np.bool_]] = {}
    for name, (row, column, tall, wide, bright) in ORGANS.items():
        if rng.random() < _LEFT_OUT:
            continue
        centre = np.array([row, column]) + shift + rng.uniform(-3, 3, 2)
        radii = np.array([tall, wide]) * rng.uniform(0.8, 1.2, 2)
        away = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2
        masks[name] = np.asarray(away <= 1) & body
        for other in masks:
            if other != name:
                masks[other] &= ~masks[name]
        pixels[masks[name]] = bright + rng.uniform(-12, 12)
    pixels = ndimage.gaussian_filter(pixels, 0.8) + rng.normal(0, 6, pixels.shape) * body
    return np.clip(pixels, 0, 255).astype(np.uint8), {k: m for k, m in masks.items() if m.any()}


def write(folder: Path, images: int, seed: int = 0) -> Path:
    """``folder/phantoms``: a COCO data set; its folder."""
    out = folder / "phantoms"
    (out / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pictures, annotations = [], []
    for number in range(images):
        pixels, masks = paint(rng)
        name = f"phantom{number:04d}.png"
        PillowImage.fromarray(pixels).save(out / "images" / name)
        pictures.append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
        for label, organ in enumerate(ORGANS, start=1):
            if organ not in masks:
                continue
            code = Rle.encode(masks[organ])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "iscrowd": 0,
                    "segmentation": {"size": list(code.size), "counts": code.counts},
                }
            )
    categories = [{"id": label, "name": name} for label, name in enumerate(ORGANS, start=1)]
    content = {"images": pictures, "annotations": annotations, "categories": categories}
    (out / "annotations.json").write_text(json.dumps(content))
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=160)
    chosen = parser.parse_args(arguments)
    print(write(chosen.out, chosen.images))


if __name__ == "__main__":
    main()
