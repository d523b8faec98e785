"""A box round a structure: how well is the structure found in it?

    python -m benchmarks.boxes --data /data/nnUNet_raw --structures 60

Slices of the validation patients of each data set, at even distances; each structure of at least
100 pixels is enclosed with a box, tight or as loose as a hand draws it (each edge up to a tenth of
the box's width or height further out, at random), and what is found in it is compared with the
annotation (Dice). Beside the filled rectangle, which needs no model, stand LiteMedSAM's published
tail and decoder, in the model's type as the program uses them and in float32, and the model's own
tail and decoder, which were trained on its own prompts. ``fill`` is how much of the drawn box the
tight box round the found mask covers, the sign by which the page warns. Whether LiteMedSAM itself
was trained on these public images is not known.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.record import about, write
from tqdm import tqdm

import mediround
from mediround.cli.sample import dice
from mediround.errors import ConfigError
from mediround.evaluation.selection import choose, spread
from mediround.geometry import BoolMask, Box, box_to_mask, mask_to_box
from mediround.imaging import Image
from mediround.model.box_prompt import BoxPrompt
from mediround.model.segmenter import Segmenter
from mediround.session import Model
from mediround.session.boxes import box_in_image
from mediround.session.model import structure_in

DATASETS = ("Dataset001_AbdomenCT", "Dataset002_CardiacMR", "Dataset003_NerveUltrasound")
VISIBLE = 100
"""Pixels from which a structure is enclosed."""
LOOSE = 0.1
"""Most that an edge of a loose box lies further out, of the box's width or height."""

PUBLISHED = "published"
MISSED, WARNING = 0.5, 0.6
"""Dice below which a structure was missed; ``fill`` below which the page says so."""


@dataclass(frozen=True)
class Enclosed:
    """One structure with the boxes round it, by kind, in pixels of the image."""

    image: Image
    name: str
    truth: BoolMask
    boxes: Mapping[str, Box]


def structures(folder: Path, most: int, seed: int) -> Sequence[Enclosed]:
    """``most`` structures of a data set's validation patients, at even distances."""
    rng = np.random.default_rng(seed)
    found = []
    for case in choose(folder, "validation", most, VISIBLE):
        for each in case.read():
            for name, truth in each.masks().items():
                tight = mask_to_box(truth)
                if tight is None or truth.sum() < VISIBLE:
                    continue
                out = rng.uniform(0, LOOSE, 4) * ([tight.width, tight.height] * 2)
                corners = np.array(tight.corners) + out * [-1, -1, 1, 1]
                boxes = {"tight": tight, "loose": box_in_image(corners.tolist(), truth.shape)}
                found.append(Enclosed(each.image, name, truth, boxes))
    return spread(found, most)


def finders(model: Model) -> dict[str, BoxPrompt]:
    """The published parts as the program uses them, in float32, and the model's own parts."""
    own = model.network.segmenter
    if not isinstance(own, Segmenter):
        raise ConfigError("this model takes no boxes", expected="one with LiteMedSAM's encoder")
    published = BoxPrompt.beside(model.network)
    return {
        PUBLISHED: published,
        "published, float32": copy.deepcopy(published).float(),
        "own": BoxPrompt(own, published.corners),
    }


def measure(model: Model, dataset: str, all_: Sequence[Enclosed]) -> Iterator[dict[str, Any]]:
    """A row for each structure, kind of box and way to take it."""
    ways = finders(model)
    for each in tqdm(all_, desc=dataset):
        encoded = model.encode(each.image)
        for kind, box in each.boxes.items():
            about_it = {"dataset": dataset, "structure": each.name, "box": kind}
            filled = dice(box_to_mask(box, each.image.size), each.truth)
            yield about_it | {"way": "rectangle", "dice": filled, "fill": 1.0, "seconds": 0.0}
            for way, prompt in ways.items():
                began = time.perf_counter()
                mask = structure_in(box, encoded, prompt)
                took = time.perf_counter() - began
                found = {"dice": dice(mask, each.truth), "fill": fill(mask, box), "seconds": took}
                yield about_it | {"way": way} | found


def fill(mask: BoolMask, box: Box) -> float:
    """Share (0..1) of ``box`` that the tight box round ``mask`` covers."""
    tight = mask_to_box(mask)
    return 0.0 if tight is None else tight.width * tight.height / (box.width * box.height)


def warned(rows: Sequence[Mapping[str, Any]]) -> str:
    """How well a small ``fill`` tells the masks that miss their structure."""
    found = [(row["dice"] < MISSED, row["fill"] < WARNING) for row in rows]
    missed = [small for bad, small in found if bad]
    hit = [small for bad, small in found if not bad]
    return (
        f"{len(missed)} of {len(found)} masks below Dice {MISSED}; "
        f"warned of {sum(missed)} of them, and of {sum(hit)} of the {len(hit)} others"
    )


def table(rows: Sequence[Mapping[str, Any]], kind: str, key: str) -> str:
    """Markdown: mean Dice by ``key`` ("dataset" or "structure") for one kind of box."""
    chosen = [row for row in rows if row["box"] == kind]
    ways = list(dict.fromkeys(row["way"] for row in chosen))
    lines = [f"| {kind} boxes | n | {' | '.join(ways)} |", "|---" * (len(ways) + 2) + "|"]
    for name in [*dict.fromkeys(row[key] for row in chosen), "all"]:
        here = [row for row in chosen if name in (row[key], "all")]
        means = [np.mean([row["dice"] for row in here if row["way"] == way]) for way in ways]
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| {name} | {len(here) // len(ways)} | {cells} |")
    return "\n".join(lines)


def nested(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Kind of box -> way -> data set -> structure -> Dice of each mask."""
    found: dict[str, Any] = {}
    for row in rows:
        place = found
        for key in ("box", "way", "dataset"):
            place = place.setdefault(row[key], {})
        place.setdefault(row["structure"], []).append(round(row["dice"], 4))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds nnU-Net raw folders")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--structures", type=int, default=60, help="of each data set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    model = mediround.load(chosen.model)
    rows: list[dict[str, Any]] = []
    for dataset in DATASETS:
        found = structures(chosen.data / dataset, chosen.structures, chosen.seed)
        rows += measure(model, dataset, found)
    for kind in ("tight", "loose"):
        for key in ("dataset", "structure"):
            print(table(rows, kind, key), end="\n\n")
    used = [row for row in rows if row["way"] == PUBLISHED]
    notes = {
        "warning": warned(used),
        "median seconds a box": round(float(np.median([row["seconds"] for row in used])), 3),
    }
    print(notes)
    settings = {"model": chosen.model, "seed": chosen.seed, "threads": chosen.threads}
    record = about("boxes") | settings | {"weights_sha256": model.weights_sha256}
    print(write(chosen.out, "boxes", record | notes | {"dice": nested(rows)}))


if __name__ == "__main__":
    main()
