"""A whole volume for a viewer in three dimensions, and the masks of all its dialogues in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from mediround.errors import InputError
from mediround.geometry import BoolMask
from mediround.imaging import Image, Plane, Volume
from mediround.imaging.nifti import write_nifti
from mediround.server.history import Stored
from mediround.server.views import PlaneName, entities_of

LONGEST = 256
"""Default of the longest side, in voxels: what the graphics of a small machine can turn."""

_SENT = ("uint8", "int16", "float32")


class Labelled(BaseModel):
    """One mask of one dialogue; ``number`` is its ``[n]`` there."""

    label: int
    session: str
    number: int
    name: str | None
    colour: tuple[int, int, int]
    plane: PlaneName
    slice: int


class Labels(BaseModel):
    """Masks on a grid of ``shape`` that holds every ``steps``-th voxel of the volume.

    ``runs`` are (start, length, label) over the voxels with I running fastest, as NIfTI has them;
    everything else is 0. ``axes`` tells along which axis the slices of a plane count.
    """

    shape: tuple[int, int, int]
    steps: tuple[int, int, int]
    axes: dict[PlaneName, int]
    structures: list[Labelled]
    runs: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Coarse:
    """Every ``steps``-th voxel of ``full`` along its axes."""

    full: Volume
    steps: tuple[int, int, int]

    @classmethod
    def of(cls, opened: Image | Volume, longest: int) -> Coarse:
        """The finest whose sides are all at most ``longest``.

        Raises:
            InputError: not a volume.
        """
        if not isinstance(opened, Volume):
            raise InputError("an image of one slice", expected="a volume")
        i, j, k = (-(-side // longest) for side in opened.voxels.shape)
        return cls(opened, (i, j, k))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along I, J and K."""
        i, j, k = (
            -(-n // step) for n, step in zip(self.full.voxels.shape, self.steps, strict=True)
        )
        return i, j, k

    def volume(self) -> Volume:
        """The voxels, in a type that viewers know; each lies where it lies in ``full``."""
        i, j, k = self.steps
        voxels: NDArray[Any] = self.full.voxels[::i, ::j, ::k]
        if voxels.dtype.name not in _SENT:
            fits = voxels.dtype.kind in "iu" and voxels.min() >= -(2**15) and voxels.max() < 2**15
            voxels = voxels.astype(np.int16 if fits else np.float32)
        affine = self.full.affine.copy()
        affine[:3, :3] *= self.steps
        return replace(self.full, voxels=voxels, affine=affine, orientation_known=True)

    def place(self, mask: BoolMask, index: int, plane: Plane) -> tuple[tuple[Any, ...], BoolMask]:
        """Where a slice's mask lies: an index into ``shape``, and the mask of that slice there.

        A voxel counts where any of those that it stands for does: nothing thin is lost.
        """
        across = self.full.axis(plane)
        shape = [1 if axis == across else side for axis, side in enumerate(self.full.voxels.shape)]
        thin = replace(self.full, voxels=np.zeros(shape, np.uint8)).place(mask, 0, plane)
        for axis, step in enumerate(self.steps):
            starts = np.arange(0, thin.shape[axis], step)
            thin = np.logical_or.reduceat(thin, starts, axis=axis)
        where = [slice(None)] * 3
        at = index // self.steps[across]
        where[across] = slice(at, at + 1)
        return tuple(where), thin


def write_volume(path: Path, coarse: Coarse) -> None:
    """The coarse volume as an uncompressed NIfTI file."""
    volume = coarse.volume()
    write_nifti(path, volume.voxels, volume)


def labels(coarse: Coarse, dialogues: Iterable[Stored]) -> Labels:
    """All masks of ``dialogues``, which are about slices of this volume, as numbered labels.

    Where masks overlap the smaller one is seen.
    """
    structures: list[Labelled] = []
    placed: list[tuple[int, tuple[Any, ...], BoolMask]] = []
    for stored in dialogues:
        plane, index = stored.place["plane"], stored.place["slice"]
        for entity in entities_of(stored.dialogue):
            if entity.mask is None or entity.removed:
                continue
            label = len(structures) + 1
            placed.append((label, *coarse.place(entity.mask.decode(), index, plane)))
            structures.append(
                Labelled(
                    label=label,
                    session=stored.id,
                    number=entity.id,
                    name=entity.name,
                    colour=entity.colour,
                    plane=plane,
                    slice=index,
                )
            )
    grid = np.zeros(coarse.shape, np.uint16)
    for label, where, mask in sorted(placed, key=lambda each: -int(each[2].sum())):
        grid[where][mask] = label
    axes = {plane: coarse.full.axis(plane) for plane in get_args(Plane)}
    return Labels(
        shape=coarse.shape, steps=coarse.steps, axes=axes, structures=structures, runs=_runs(grid)
    )


def _runs(grid: NDArray[np.uint16]) -> list[tuple[int, int, int]]:
    flat = grid.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=np.uint16(0)))
    ends = np.append(starts[1:], flat.size)
    return [
        (int(start), int(end - start), int(flat[start]))
        for start, end in zip(starts, ends, strict=True)
        if flat[start]
    ]
