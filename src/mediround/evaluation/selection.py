"""Which slices are looked at, and the random numbers that belong to each of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings, build_dialogue
from mediround.data.scene.relations import Scene
from mediround.data.sources import LabelledSlice, NnunetFolder, Split, patient_of
from mediround.dialogue import Dialogue
from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.imaging import Image

logger = logging.getLogger(__name__)

Part = Literal["train", "validation", "all"]
Item = TypeVar("Item")


class Labelled(Protocol):
    """One image with everything that is labelled in it."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def patient(self) -> str:
        """Whose image it is."""

    @property
    def name(self) -> str:
        """Case and slice, unique in the data set."""

    @property
    def image(self) -> Image:
        """The image."""

    @property
    def oriented(self) -> bool:
        """Column 0 is known to be the patient's right and row 0 anterior."""

    def masks(self) -> Mapping[str, BoolMask]:
        """Entity name -> bool mask (H, W)."""


class Chosen(Protocol):
    """Images to be looked at; small, so that it can be sent to another process.

    Equal objects have equal ``repr``, which says what an interrupted evaluation was about.
    """

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def case(self) -> str:
        """Name of the case, unique in the data set."""

    @property
    def slices(self) -> tuple[str, ...]:
        """Names of the images."""

    def read(self) -> Iterator[Labelled]:
        """The images."""

    def dialogues(
        self, each: Labelled, mixture: DialogueSettings, *, per_slice: int | None, seed: int
    ) -> list[Dialogue]:
        """The dialogues about one of the images, made now or long ago, ``per_slice`` at most."""


@dataclass(frozen=True)
class ChosenCase:
    """Slices of one case; small, so that it can be sent to another process.

    Attributes:
        folder: the data set.
        case: name of the case.
        slices: names of its chosen slices, in their order.
    """

    folder: Path
    case: str
    slices: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.folder.name

    def read(self) -> Iterator[LabelledSlice]:
        """The chosen slices."""
        wanted = set(self.slices)
        for each in NnunetFolder(self.folder).read(self.case):
            if each.name in wanted:
                yield each

    def dialogues(
        self, each: Labelled, mixture: DialogueSettings, *, per_slice: int | None, seed: int
    ) -> list[Dialogue]:
        """``per_slice`` dialogues (None: one) from the labels; the same for equal arguments."""
        assert isinstance(each, LabelledSlice)  # what read() yields
        masks = each.masks()
        ordered = {name: masks[name] for name in sorted(masks)}
        scene = Scene(ordered, anatomy.load(), oriented=each.oriented)
        return [
            build_dialogue(
                masks,
                generator(seed, each.dataset, each.name, number),
                settings=mixture,
                modality=each.image.modality.value,
                oriented=each.oriented,
                region_names=tuple(each.names.values()),
                scene=scene,
            )
            for number in range(per_slice or 1)
        ]


def find_datasets(data: Path, only: Collection[str] = ()) -> tuple[list[Path], dict[str, str]]:
    """Data set folders at or directly inside ``data``.

    Args:
        data: an nnU-Net raw folder, or a folder that holds several.
        only: names of the folders to use; all when empty.

    Returns:
        Folders in the order of their names, and those that cannot be used with the reason.

    Raises:
        DatasetError: there is none that can be used.
    """
    if (data / "dataset.json").is_file():
        found = [data]
    else:
        inside = sorted(data.iterdir()) if data.is_dir() else []
        found = [folder for folder in inside if (folder / "dataset.json").is_file()]
    unknown = sorted(set(only) - {folder.name for folder in found})
    if unknown:
        listed = ", ".join(folder.name for folder in found)
        raise DatasetError(
            f"{data.name} holds no {', '.join(unknown)}", expected=f"some of {listed}"
        )
    chosen = [folder for folder in found if not only or folder.name in only]
    usable = [folder for folder in chosen if (folder / "imagesTr").is_dir()]
    left_out = {folder.name: "no imagesTr" for folder in chosen if folder not in usable}
    if not usable:
        what = f"{', '.join(left_out)} without imagesTr" if left_out else "no dataset.json"
        raise DatasetError(
            f"{data.name or data} has {what}",
            expected="an nnU-Net raw folder (dataset.json, imagesTr, labelsTr), or several in one",
        )
    for name, reason in left_out.items():
        logger.warning("%s is left out: %s", name, reason)
    return usable, left_out


def choose(folder: Path, part: Part, limit: int | None, min_pixels: int) -> list[ChosenCase]:
    """The slices of a data set that show at least one structure of ``min_pixels`` pixels.

    Args:
        folder: the data set.
        part: its train or validation patients, or all.
        limit: most slices, taken at even distances over the part; None for every one.
        min_pixels: structures smaller than this do not count.

    Raises:
        DatasetError: no slice is left.
    """
    source = NnunetFolder(folder)
    splits: tuple[Split, ...] = ("train", "validation") if part == "all" else (part,)
    patients = {p for p in source.patients() if source.split_of(p) in splits}
    listed: list[tuple[str, str]] = []
    for case in source.cases():
        if patient_of(case) in patients:
            listed += [(case, each.name) for each in source.read(case) if _shows(each, min_pixels)]
    if not listed:
        raise DatasetError(
            f"the {part} part of {folder.name} has no labelled slices",
            expected=f"at least one structure of {min_pixels} pixels",
        )
    return _by_case(folder, spread(listed, limit))


def generator(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for whatever ``names`` say, the same on every machine."""
    text = "\0".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))


def _shows(each: LabelledSlice, min_pixels: int) -> bool:
    values, counts = np.unique(each.labels, return_counts=True)
    return any(
        value in each.names and count >= min_pixels
        for value, count in zip(values, counts, strict=True)
    )


def spread(listed: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """At most ``limit`` items, taken at even distances; all for None."""
    if limit is None or limit >= len(listed):
        return listed
    return [listed[(2 * place + 1) * len(listed) // (2 * limit)] for place in range(limit)]


def _by_case(folder: Path, listed: Sequence[tuple[str, str]]) -> list[ChosenCase]:
    slices: dict[str, list[str]] = {}
    for case, name in listed:
        slices.setdefault(case, []).append(name)
    return [ChosenCase(folder, case, tuple(names)) for case, names in slices.items()]
