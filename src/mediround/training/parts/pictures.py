"""What the parcellation learns from: made images of heads, and real ones of anything else.

Made once by several processes, and kept as 8-bit canvases.
"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mediround.config import NormalisationConfig
from mediround.data.sources import LabelledSlice
from mediround.imaging.normalise import normalise
from mediround.training.parts.recipe import DatasetRecipe, Recipe

Kind = Literal["train", "validation", "strange"]
"""Made of training heads, made of validation heads, and training images of other data sets."""
Bytes = NDArray[np.uint8]
Picture = tuple[Bytes, Bytes]
"""Canvas and labels, both (side, side)."""


class Pictures:
    """Canvases and labels of a finished folder, memory-mapped.

    Attributes:
        entities: names; label value n means ``entities[n - 1]``.
    """

    def __init__(self, folder: Path) -> None:
        described = json.loads((folder / "pictures.json").read_text())
        self.entities: list[str] = described["entities"]
        self._rows: dict[str, list[int]] = described["rows"]
        self._canvases: Bytes = np.load(folder / "canvases.npy", mmap_mode="r")
        self._labels: Bytes = np.load(folder / "labels.npy", mmap_mode="r")

    def count(self, kind: Kind) -> int:
        """How many there are of a kind."""
        return len(self._rows[kind])

    def of(self, kind: Kind, number: int) -> Picture:
        """One canvas and its labels, both (side, side); nothing is labelled in strange ones."""
        row = self._rows[kind][number]
        return np.array(self._canvases[row]), np.array(self._labels[row])

    @classmethod
    def made(
        cls, recipe: Recipe, heads: DatasetRecipe, data: Path, folder: Path, workers: int
    ) -> Self:
        """Those in ``folder``, made now by so many ``workers`` where they are not there yet."""
        if not (folder / "pictures.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _make(recipe, heads, data, folder, workers)
        return cls(folder)


def _make(recipe: Recipe, heads: DatasetRecipe, data: Path, folder: Path, workers: int) -> None:
    maker = _Maker(recipe.model.normalisation, heads, data)
    jobs = [(each, case) for each in (heads, *recipe.datasets) for case in each.open(data).cases()]
    rows: dict[str, list[int]] = {kind: [] for kind in get_args(Kind)}
    canvases: list[Bytes] = []
    labels: list[Bytes] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        found = pool.map(maker, jobs, chunksize=4)
        for kind, pictures in tqdm(found, total=len(jobs), desc="pictures", unit="case"):
            if kind is not None:
                rows[kind] += range(len(canvases), len(canvases) + len(pictures))
                canvases += [canvas for canvas, _ in pictures]
                labels += [told for _, told in pictures]
    np.save(folder / "canvases.npy", np.stack(canvases))
    np.save(folder / "labels.npy", np.stack(labels))
    described = {"entities": maker.entities, "rows": rows}
    (folder / "pictures.json").write_text(json.dumps(described))


@dataclass(frozen=True)
class _Maker:
    """Makes the pictures of one case; goes to every process."""

    normalisation: NormalisationConfig
    heads: DatasetRecipe
    data: Path

    @property
    def entities(self) -> list[str]:
        names = self.heads.open(self.data).names
        return [names[value] for value in sorted(names)]

    def __call__(self, job: tuple[DatasetRecipe, str]) -> tuple[Kind | None, list[Picture]]:
        """Its kind and what it shows; None for what is not learned from."""
        dataset, case = job
        source = dataset.open(self.data)
        slices = list(source.read(case))
        kind: Kind | None = source.split_of(slices[0].patient) if slices else None
        if dataset != self.heads and kind is not None:
            kind = "strange" if kind == "train" else None
        if kind is None:
            return None, []
        return kind, [self._picture(each, strange=kind == "strange") for each in slices]

    def _picture(self, each: LabelledSlice, *, strange: bool) -> Picture:
        made = normalise(each.image, self.normalisation)
        canvas = np.rint(made.pixels.mean(0) * 255).astype(np.uint8)
        if strange:
            return canvas, np.zeros_like(canvas)
        table = np.zeros(max(int(each.labels.max()), *each.names) + 1, dtype=np.uint8)
        for number, value in enumerate(sorted(each.names), start=1):
            table[value] = number
        told = table[each.labels.astype(int)]
        return canvas, made.placement.to_canvas(told, nearest=True).astype(np.uint8)
