"""How the model does on a CT of another hospital and scanner: the one that the demo fetches.

    python benchmarks/external.py --slices 30

Axial slices spread evenly over the part of the volume that shows any of the structures; each
structure with at least 100 pixels is asked for by its name, in words not used in training, as a
first round. The labels come with the image (made by TotalSegmentator) and had no part in training.
Prints a table and writes a dated JSON.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import mediround
from mediround import anatomy, weights
from mediround.cli.sample import LabelledVolume, dice
from mediround.data.words import wording
from record import about, write

STRUCTURES = ("liver", "spleen", "stomach", "aorta", "right kidney", "left kidney")
VISIBLE = 100
"""Pixels from which a structure is asked for."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--slices", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    sample = LabelledVolume.read(weights.path("sample-ct"))
    model = mediround.load(options.model)
    rng = np.random.default_rng(options.seed)
    speaker = wording.Speaker("heldout", rng, anatomy.load())
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in STRUCTURES}
    for index in tqdm(_spread(sample, options.slices), desc="slices"):
        session = model.open(sample.path, slice=index)
        for name in STRUCTURES:
            truth = sample.truth(name, index)
            if truth.sum() < VISIBLE:
                continue
            turn = session.ask(speaker.ask_name(name))
            masks = [entity for entity in turn.entities if entity.mask is not None]
            found = masks[0].mask if masks else None
            overlap = 0.0 if found is None else dice(found, truth)
            rows[name].append((overlap, float(masks[0].score or 0) if masks else 0.0))
            session.undo()
    _report(rows, options)


def _spread(sample: LabelledVolume, count: int) -> list[int]:
    """``count`` slices, evenly among those that show any structure."""
    shown = [
        index
        for index in range(sample.volume.count())
        if any(sample.truth(name, index).sum() >= VISIBLE for name in STRUCTURES)
    ]
    places = np.linspace(0, len(shown) - 1, min(count, len(shown)))
    return [shown[round(place)] for place in places]


def _report(rows: dict[str, list[tuple[float, float]]], options: argparse.Namespace) -> None:
    every = [pair for pairs in rows.values() for pair in pairs]
    print(f"{'structure':14} {'masks':>5} {'Dice':>6} {'score':>6}")
    for name, pairs in [*rows.items(), ("all", every)]:
        overlap, score = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
        print(f"{name:14} {len(pairs):5} {overlap:6.3f} {score:6.3f}")
    record = about("external") | {"model": options.model, "seed": options.seed, "cases": rows}
    print(write(options.out, "external", record))


if __name__ == "__main__":
    main()
