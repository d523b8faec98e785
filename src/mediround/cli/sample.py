"""The sample CT with the labels that ship with it: what the demo looks at and compares with."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediround import anatomy
from mediround.errors import DatasetError
from mediround.imaging import Image, Volume, open_image

IMAGE, LABELS, STRUCTURES = "cxr.nii.gz", "mask.nii.gz", "structures.csv"


@dataclass(frozen=True, eq=False)
class LabelledVolume:
    """A volume and what is what in it.

    Attributes:
        path: the image file.
        volume: the image.
        labels: integers on the grid of ``volume``.
        values: canonical entity name -> its label.
    """

    path: Path
    volume: Volume
    labels: NDArray[np.integer]
    values: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path) -> LabelledVolume:
        """Read the folder of the sample.

        Raises:
            ImageFileError: a file is missing or damaged.
            DatasetError: image and labels differ in their grid.
        """
        volume, labels = open_image(folder / IMAGE), open_image(folder / LABELS)
        if isinstance(volume, Image) or isinstance(labels, Image):
            raise DatasetError("a single picture", expected=f"volumes in {folder}")
        same = volume.voxels.shape == labels.voxels.shape
        if not same or not np.allclose(volume.affine, labels.affine, atol=1e-3):
            raise DatasetError(
                f"{LABELS} lies on another grid than {IMAGE}", expected="one grid for both"
            )
        with (folder / STRUCTURES).open(newline="") as file:
            rows = [(row["structure"], int(row["id"])) for row in csv.DictReader(file)]
        atlas = anatomy.load()
        known = [(atlas.find(structure), value) for structure, value in rows]
        values = {entity.name: value for entity, value in known if entity is not None}
        return cls(folder / IMAGE, volume, np.asarray(labels.voxels), values)

    def truth(self, name: str, index: int) -> NDArray[np.bool_]:
        """Bool (H, W): entity ``name`` on axial slice ``index``."""
        cut = self.volume.take(self.labels, index)
        return np.asarray(cut == self.values[name])

    def best_slice(self, wanted: Sequence[str]) -> int:
        """The axial slice that shows most of all ``wanted`` entities at once.

        An entity counts by its area as a share of its largest area in the volume; the product
        over all of them decides, so that none may be missing.

        Raises:
            DatasetError: no slice shows all of them.
        """
        values = [self.values[name] for name in wanted]
        areas = np.array(
            [
                np.bincount(self.volume.take(self.labels, index).ravel(), minlength=256)[values]
                for index in range(self.volume.count())
            ]
        )
        product = (areas / np.maximum(areas.max(axis=0), 1)).prod(axis=1)
        if not product.any():
            raise DatasetError(f"no slice shows {', '.join(wanted)} at once")
        return int(product.argmax())


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice coefficient (0..1) of two bool masks of one shape; 1 for two empty ones."""
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2.0 * int((one & other).sum()) / total
