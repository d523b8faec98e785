"""How the model does on images of another hospital and scanner, which nothing was trained on.

    python benchmarks/external.py --sample ct --slices 30
    python benchmarks/external.py --sample brain --slices 30

``ct`` is the CT of the demo, labelled by TotalSegmentator; ``brain`` a T1 weighted average brain
(MNI152), labelled by FreeSurfer, of which the large subcortical structures are asked for. Axial
slices are spread evenly over the part of the volume that shows any of the structures; each
structure with enough pixels is asked for by its name, in words not used in training, as a first
round. Prints a table and writes a dated JSON.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from tqdm import tqdm

import mediround
from mediround import anatomy, weights
from mediround.cli.sample import LabelledVolume, dice
from mediround.data.words import wording
from mediround.imaging import Volume, open_image
from record import about, write


@dataclass(frozen=True)
class External:
    """A labelled volume, and what it is asked for.

    Attributes:
        read: opens it.
        structures: names.
        visible: pixels from which a structure is asked for.
    """

    read: Callable[[], LabelledVolume]
    structures: Sequence[str]
    visible: int


def _ct() -> LabelledVolume:
    return LabelledVolume.read(weights.path("sample-ct"))


def _brain() -> LabelledVolume:
    """Labels come to the grid of the image by nearest neighbours."""
    folder = weights.path("sample-brain")
    file = folder / "MNI152_T1_1mm_brain.nii.gz"
    volume = open_image(file)
    assert isinstance(volume, Volume)
    atlas = nibabel.load(folder / "atlas_desikan_killiany.nii.gz")
    labels = np.asarray(resample_from_to(atlas, nibabel.load(file), order=0).dataobj)
    with (folder / "labels_desikan_killiany.csv").open(newline="") as rows:
        names = {row["name"]: int(row["index"]) for row in csv.DictReader(rows)}
    values = {
        f"{side} {name}": names[f"{side.capitalize()}-{said}"]
        for side in ("left", "right")
        for name, said in SUBCORTICAL.items()
    }
    return LabelledVolume(file, volume, labels, values)


SUBCORTICAL: Final = {
    "thalamus": "Thalamus-Proper",
    "caudate nucleus": "Caudate",
    "putamen": "Putamen",
    "globus pallidus": "Pallidum",
    "hippocampus": "Hippocampus",
}
"""Canonical names -> FreeSurfer's, without the side."""

SAMPLES: Final = {
    "ct": External(
        _ct, ("liver", "spleen", "stomach", "aorta", "right kidney", "left kidney"), visible=100
    ),
    "brain": External(
        _brain, [f"{side} {name}" for side in ("left", "right") for name in SUBCORTICAL], visible=40
    ),
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--sample", choices=sorted(SAMPLES), default="ct")
    parser.add_argument("--slices", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    external = SAMPLES[options.sample]
    sample = external.read()
    model = mediround.load(options.model)
    rng = np.random.default_rng(options.seed)
    speaker = wording.Speaker("heldout", rng, anatomy.load())
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in external.structures}
    for index in tqdm(_spread(sample, external, options.slices), desc="slices"):
        session = model.open(sample.path, slice=index)
        for name in external.structures:
            truth = sample.truth(name, index)
            if truth.sum() < external.visible:
                continue
            turn = session.ask(speaker.ask_name(name))
            masks = [entity for entity in turn.entities if entity.mask is not None]
            found = masks[0].mask if masks else None
            overlap = 0.0 if found is None else dice(found, truth)
            rows[name].append((overlap, float(masks[0].score or 0) if masks else 0.0))
            session.undo()
    _report(rows, options)


def _spread(sample: LabelledVolume, external: External, count: int) -> list[int]:
    """``count`` slices, evenly among those that show any structure."""
    shown = [
        index
        for index in range(sample.volume.count())
        if any(sample.truth(name, index).sum() >= external.visible for name in external.structures)
    ]
    places = np.linspace(0, len(shown) - 1, min(count, len(shown)))
    return [shown[round(place)] for place in places]


def _report(rows: dict[str, list[tuple[float, float]]], options: argparse.Namespace) -> None:
    every = [pair for pairs in rows.values() for pair in pairs]
    print(f"{'structure':22} {'masks':>5} {'Dice':>6} {'score':>6}")
    for name, pairs in [*rows.items(), ("all", every)]:
        overlap, score = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
        print(f"{name:22} {len(pairs):5} {overlap:6.3f} {score:6.3f}")
    record = about("external") | {
        "model": options.model,
        "sample": options.sample,
        "seed": options.seed,
        "cases": rows,
    }
    print(write(options.out, f"external-{options.sample}", record))


if __name__ == "__main__":
    main()
