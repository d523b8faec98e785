"""The frozen trunk's features of every training view, computed once and kept on disk.

A store is a folder: ``features.bin`` (bfloat16, N x side x side x width), ``labels.npy`` (uint8,
N x canvas x canvas, numbers into ``entities``), ``views.json`` (what each row is). Views are
random but seeded one by one, so a store does not depend on the number of workers; rows already
written are kept when a build is taken up again.
"""

import dataclasses
import hashlib
import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mediround import weights
from mediround.config import ModelConfig
from mediround.data.sources import LabelledSlice, NnunetFolder, Split
from mediround.errors import ConfigError
from mediround.imaging.normalise import normalise
from mediround.model.checkpoint import load_lite_medsam
from mediround.model.mask_decoder import MaskDecoder
from mediround.model.position import PositionCode
from mediround.model.vision_encoder import TinyVit, fold_batch_norms
from mediround.training.augment import augment
from mediround.training.parts.recipe import DatasetRecipe, Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """One row of a store: which slice, which random view of it (0 is plain)."""

    dataset: str
    patient: str
    slice: str
    split: Split
    view: int


class FeatureStore:
    """Read access to a finished store.

    Attributes:
        views: one a row.
        entities: names; label value n means ``entities[n - 1]``.
        labels: uint8 (N, canvas, canvas), memory-mapped.
    """

    def __init__(self, folder: Path) -> None:
        described = json.loads((folder / "views.json").read_text())
        self.views = [View(**view) for view in described["views"]]
        self.entities: list[str] = described["entities"]
        self.datasets: dict[str, list[str]] = described["datasets"]
        self.labels: NDArray[np.uint8] = np.load(folder / "labels.npy", mmap_mode="r")
        self._shape = tuple(described["shape"])
        self._file = np.memmap(folder / "features.bin", np.int16, "r", shape=self._shape)

    def features(self, rows: Sequence[int]) -> Tensor:
        """bfloat16 (B, width, side, side), channels last in memory."""
        picked = np.stack([self._file[row] for row in rows])
        return torch.from_numpy(picked).view(torch.bfloat16).permute(0, 3, 1, 2)

    def rows(self, split: Split, dataset: str | None = None) -> list[int]:
        """Rows of a split, of one data set or of all."""
        return [
            index
            for index, view in enumerate(self.views)
            if view.split == split and dataset in (None, view.dataset)
        ]

    def masks(self, row: int) -> dict[int, NDArray[np.bool_]]:
        """Entity index (0-based) -> bool (canvas, canvas), for those visible in the view."""
        labels = self.labels[row]
        return {int(value) - 1: labels == value for value in np.unique(labels) if value}


def build(recipe: Recipe, data: Path, folder: Path, workers: int) -> FeatureStore:
    """Compute what is missing of the store in ``folder`` and open it.

    Args:
        recipe: says which slices and how many views of each.
        data: folder that holds the recipe's data set folders.
        folder: where the store is or shall be.
        workers: processes, each with one thread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = list(_plan(recipe, data))
    sources = {d.folder: d.open(data) for d in recipe.datasets}
    entities = sorted({name for source in sources.values() for name in source.names.values()})
    config = recipe.model
    canvas = config.normalisation.canvas
    side, width = canvas // 4, config.tiny_vit.widths[-1]
    shape = (len(plan), side, side, width)
    described = {
        "views": [dataclasses.asdict(view) for view in plan],
        "entities": entities,
        "datasets": {name: sorted(source.names.values()) for name, source in sources.items()},
        "shape": shape,
    }
    text = json.dumps(described)
    if not (folder / "views.json").exists():
        np.memmap(folder / "features.bin", np.int16, "w+", shape=shape)
        labels = np.zeros((len(plan), canvas, canvas), np.uint8)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "done.npy", np.zeros(len(plan), dtype=bool))
        (folder / "views.json").write_text(text)
    elif (folder / "views.json").read_text() != text:
        raise ConfigError(
            f"{folder} holds the features of other views",
            expected="those of this recipe and data",
            remedy="choose another folder for the run, or remove this one",
        )
    done: NDArray[np.bool_] = np.load(folder / "done.npy", mmap_mode="r+")
    jobs = [(d, case) for d, case in _cases(recipe, data) if _missing(plan, done, d, case)]
    if jobs:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _start_worker, (recipe, data, folder)) as pool:
            results = pool.map(_encode_case, jobs)
            for _ in tqdm(results, total=len(jobs), desc="features", unit="case"):
                pass
    return FeatureStore(folder)


def _cases(recipe: Recipe, data: Path) -> Iterator[tuple[DatasetRecipe, str]]:
    for dataset in recipe.datasets:
        cases = dataset.open(data).cases()
        for case in _spread(cases, dataset.cases):
            yield dataset, case


def _slices(source: NnunetFolder, dataset: DatasetRecipe, case: str) -> list[LabelledSlice]:
    return _spread(list(source.read(case)), dataset.slices_per_case)


def _plan(recipe: Recipe, data: Path) -> Iterator[View]:
    for dataset, case in _cases(recipe, data):
        source = dataset.open(data)
        for each in _slices(source, dataset, case):
            split = source.split_of(each.patient)
            for view in range(dataset.views if split == "train" else 1):
                yield View(dataset.folder, each.patient, each.name, split, view)


def _spread(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    return [items[(2 * index + 1) * len(items) // (2 * most)] for index in range(most)]


def _missing(plan: list[View], done: NDArray[np.bool_], dataset: DatasetRecipe, case: str) -> bool:
    return any(
        not done[row]
        for row, view in enumerate(plan)
        if view.dataset == dataset.folder
        and (view.slice == case or view.slice.startswith(case + "_"))
    )


class _Worker:
    """One process: the encoder's trunk and the open files of the store."""

    def __init__(self, recipe: Recipe, data: Path, folder: Path) -> None:
        torch.set_num_threads(1)
        described = json.loads((folder / "views.json").read_text())
        self.recipe, self.data, self.config = recipe, data, recipe.model
        self.row_of = {tuple(v.values()): row for row, v in enumerate(described["views"])}
        self.number_of = {name: n for n, name in enumerate(described["entities"], start=1)}
        self.features = np.memmap(
            folder / "features.bin", np.int16, "r+", shape=tuple(described["shape"])
        )
        self.labels = np.load(folder / "labels.npy", mmap_mode="r+")
        self.done = np.load(folder / "done.npy", mmap_mode="r+")
        self.encoder = pretrained_encoder(self.config)

    def encode(self, dataset: DatasetRecipe, case: str) -> None:
        source = dataset.open(self.data)
        for each in _slices(source, dataset, case):
            split = source.split_of(each.patient)
            canvas = normalise(each.image, self.config.normalisation)
            table = np.zeros(int(each.labels.max()) + 1, dtype=np.uint8)
            for value, name in each.names.items():
                if value < len(table):
                    table[value] = self.number_of[name]
            labels = canvas.placement.to_canvas(table[each.labels.astype(int)], nearest=True)
            for view in range(dataset.views if split == "train" else 1):
                row = self.row_of[(dataset.folder, each.patient, each.name, split, view)]
                if self.done[row]:
                    continue
                pixels, seen = canvas.pixels, labels
                if view:
                    key = f"{self.recipe.seed} {dataset.folder} {each.name} {view}"
                    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
                    rng = np.random.default_rng(seed)
                    pixels, seen = augment(pixels, labels, dataset.augmentation, rng)
                self.features[row] = self._trunk(pixels)
                self.labels[row] = seen
                self.done[row] = True

    @torch.inference_mode()
    def _trunk(self, pixels: NDArray[np.float32]) -> NDArray[np.int16]:
        batch = torch.from_numpy(pixels)[None].to(torch.bfloat16)
        found = self.encoder.trunk(batch.contiguous(memory_format=torch.channels_last))
        return found[0].permute(1, 2, 0).contiguous().view(torch.int16).numpy()


_worker: _Worker | None = None


def _start_worker(recipe: Recipe, data: Path, folder: Path) -> None:
    global _worker  # noqa: PLW0603  # a pool's initializer has no other place for its state
    _worker = _Worker(recipe, data, folder)


def _encode_case(job: tuple[DatasetRecipe, str]) -> None:
    assert _worker is not None
    _worker.encode(*job)


def pretrained_encoder(config: ModelConfig) -> TinyVit:
    """The frozen encoder, bfloat16, batch norms folded, channels last."""
    assert config.vision_source is not None
    encoder = TinyVit(config.tiny_vit).eval()
    path = weights.path(config.vision_source) / "model.safetensors"
    load_lite_medsam(path, encoder, MaskDecoder(config.decoder), PositionCode(config.tiny_vit.out))
    fold_batch_norms(encoder)
    encoder.requires_grad_(False)
    return encoder.to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # stubs
