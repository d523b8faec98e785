"""Where a voxel grid lies in the patient: affines to RAS+ millimetres, and their axes."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mediround.errors import ImageFileError


class Axis(NamedTuple):
    """The voxel axis closest to a patient axis, and whether both grow the same way."""

    voxel: int
    ascending: bool


def closest_axes(affine: NDArray[np.float64]) -> tuple[Axis, Axis, Axis]:
    """For each patient axis x, y, z: the voxel axis that is closest to it, and its sign.

    The three choices differ, and together they have the largest sum of absolute cosines.
    """
    linear = affine[:3, :3]
    # Rounding lets an exact tie (45 degrees) fall the same way on every machine.
    cosines = np.round(linear / np.linalg.norm(linear, axis=0), 6)
    x, y, z = max(
        itertools.permutations(range(3)),
        key=lambda voxel: round(sum(abs(float(cosines[p, voxel[p]])) for p in range(3)), 6),
    )
    return (
        Axis(x, bool(cosines[0, x] >= 0)),
        Axis(y, bool(cosines[1, y] >= 0)),
        Axis(z, bool(cosines[2, z] >= 0)),
    )


def unknown_affine(
    shape: tuple[int, ...], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> NDArray[np.float64]:
    """The affine of a grid of unknown place: centred, I towards the left, as NIfTI has it."""
    steps = np.array([-spacing[0], spacing[1], spacing[2]])
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape[:3]) - 1) / 2
    return affine


def checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    """A read-only float64 copy.

    Raises:
        ImageFileError: not (4, 4), not finite, or singular.
    """
    matrix = np.array(affine, dtype=np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0) if matrix.shape == (4, 4) else np.zeros(3)
    usable = bool(np.isfinite(matrix).all()) and bool((lengths > 0).all())
    if not usable or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
        raise ImageFileError(
            "an affine that does not place the voxels (singular or not finite)",
            expected="an invertible 4 x 4 matrix",
            remedy="repair the file's geometry",
        )
    matrix.flags.writeable = False
    return matrix
