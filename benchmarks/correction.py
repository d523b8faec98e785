"""Bad masks and a second opinion: are they better for it, and is it worth its time?

    python -m benchmarks.correction --data /data/nnUNet_raw --slices 60

Each structure in slices of the validation patients is drawn by its code, so that no word decides
anything. Where the judge finds the mask bad, it is compared with what a second opinion makes of it,
and with a control that computes more: the image is encoded once more, a little shifted, and both
masks are averaged. Paired by mask, with the patient as the unit: Dice, 95 % bootstrap intervals,
permutation tests. Seconds are those of the repair alone, where it changed anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.record import about, write
from torch import Tensor
from tqdm import tqdm

import mediround
from mediround.cli.sample import dice
from mediround.errors import ConfigError
from mediround.evaluation.paired import Difference, compare
from mediround.evaluation.selection import Labelled, choose
from mediround.model.drawing import Drawn
from mediround.session import Model
from mediround.session.model import Encoded

DATASETS = (
    "Dataset001_AbdomenCT",
    "Dataset002_CardiacMR",
    "Dataset003_NerveUltrasound",
    "Dataset004_Hippocampus",
)
VISIBLE = 30
"""Pixels from which a structure is asked for."""
SHIFT = 6
"""Pixels of the canvas, down and to the right, of the control's other view."""
FIRST, SECOND, CONTROL = "first", "second opinion", "shifted view"


def bad_masks(model: Model, each: Labelled) -> Iterator[dict[str, Any]]:
    """A row for each structure of an image whose mask the judge finds bad."""
    network, encoded = model.network, model.encode(each.image)
    repairs: Mapping[str, Callable[[Encoded, int, Tensor], Tensor]] = {
        SECOND: lambda seen, _, logits: _second(model, seen, logits),
        CONTROL: lambda seen, place, logits: _shifted(model, seen, place, logits),
    }
    for name, truth in each.masks().items():
        if name not in network.config.entities or truth.sum() < VISIBLE:
            continue
        place = network.config.entities.index(name)
        drawn = _drawn(model, encoded, place)
        if float(drawn.scores[0]) > network.config.correction.threshold:
            continue
        row = {"dataset": each.dataset, "patient": each.patient, "structure": name}
        row |= {"score": float(drawn.scores[0])}
        row[FIRST] = dice(encoded.view.masks(drawn.logits)[0], truth)
        for way, repair in repairs.items():
            began = time.perf_counter()
            logits = repair(encoded, place, drawn.logits)
            row[f"seconds of {way}"] = time.perf_counter() - began
            row[way] = dice(encoded.view.masks(logits)[0], truth)
        yield row


@torch.inference_mode()
def _drawn(model: Model, encoded: Encoded, place: int) -> Drawn:
    """The structure at ``place``, by its code, as it is before any repair."""
    network = model.network
    network.correcting = False
    state = torch.zeros(1, network.language.width, device=network.device)
    try:
        return network.draw(encoded.features, state, place)
    finally:
        network.correcting = True


@torch.inference_mode()
def _second(model: Model, encoded: Encoded, logits: Tensor) -> Tensor:
    assert model.network.second is not None
    return model.network.second(encoded.features.trunk, logits)  # type: ignore[no-any-return]  # modules return Any


@torch.inference_mode()
def _shifted(model: Model, encoded: Encoded, place: int, logits: Tensor) -> Tensor:
    pixels = [torch.from_numpy(each).roll((SHIFT, SHIFT), (-2, -1)) for each in encoded.view.pixels]
    seen = model.network.see(*(each.to(model.network.device) for each in pixels))
    other = _drawn(model, dataclasses.replace(encoded, features=seen), place).logits
    return logits.lerp(other.roll((-SHIFT, -SHIFT), (-2, -1)), 0.5)


def tested(rows: Sequence[Mapping[str, Any]], one: str, other: str) -> Difference:
    """``other`` minus ``one``."""
    patients = [f"{row['dataset']} {row['patient']}" for row in rows]
    first, second = ([row[way] for row in rows] for way in (one, other))
    strata = [row["dataset"] for row in rows]
    return compare(first, second, patients, np.random.default_rng(0), strata=strata)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: means and differences by data set."""
    head = ("data set", "n", FIRST, SECOND, CONTROL, "difference", "to the control")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in [*dict.fromkeys(row["dataset"] for row in rows), "all"]:
        here = [row for row in rows if name in (row["dataset"], "all")]
        means = [f"{np.mean([row[way] for row in here]):.3f}" for way in (FIRST, SECOND, CONTROL)]
        changes = [_said(tested(here, way, SECOND)) for way in (FIRST, CONTROL)]
        lines.append(f"| {' | '.join([name, str(len(here)), *means, *changes])} |")
    return "\n".join(lines)


def _said(change: Difference) -> str:
    if change.ci95 is None or change.p is None:
        return f"{change.difference:+.3f}"
    low, high = change.ci95
    return f"{change.difference:+.3f} [{low:+.3f}, {high:+.3f}], p {change.p:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds nnU-Net raw folders")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--slices", type=int, default=60, help="of each data set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    model = mediround.load(chosen.model)
    if model.network.second is None:
        raise ConfigError("this model asks for no second opinion", expected="one like nano")
    rows: list[dict[str, Any]] = []
    for dataset in DATASETS:
        cases = choose(chosen.data / dataset, "validation", chosen.slices, VISIBLE)
        for case in tqdm(cases, desc=dataset):
            for each in case.read():
                rows += bad_masks(model, each)
    print(table(rows))
    changed = [row for row in rows if row[SECOND] != row[FIRST]]
    took = {
        way: round(float(np.median([row[f"seconds of {way}"] for row in changed])), 3)
        for way in (SECOND, CONTROL)
    }
    print("median seconds:", took)
    settings = {"model": chosen.model, "slices": chosen.slices, "threads": chosen.threads}
    record = about("correction") | settings | {"weights_sha256": model.weights_sha256}
    print(write(chosen.out, "correction", record | {"median seconds": took, "masks": rows}))


if __name__ == "__main__":
    main()
