"""The surface of a mask as triangles, and as an STL file.

Marching cubes at one half of a binary mask: every voxel centre inside the mask lies inside the
surface and every other outside, the surface is closed, and it crosses between two voxels half
way. Nothing is smoothed: what is shown is what was segmented. scikit-image does it; its tables
settle the ambiguous cases in which simpler ones leave holes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mediround.errors import InputError
from mediround.imaging.output import replacing

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADER_BYTES = 80
_TRIANGLE = np.dtype(
    [("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")], align=False
)


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles that enclose a structure.

    Attributes:
        vertices: float64 (N, 3), millimetres in LPS, the convention of STL files in medicine.
        faces: int (M, 3), indices of vertices, counter-clockwise as seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.intp]


def surface_mesh(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Mesh:
    """The surface of ``mask``.

    Args:
        mask: bool (I, J, K), at least one voxel inside.
        affine: (4, 4), voxel indices to RAS+ millimetres.

    Raises:
        InputError: an empty mask, or another shape.
    """
    from skimage.measure import marching_cubes  # a second of imports that few need

    if mask.ndim != 3 or mask.dtype != np.bool_ or not mask.any():
        raise InputError(
            f"a mask of shape {mask.shape} and type {mask.dtype} without surface",
            expected="a bool mask (I, J, K) with at least one voxel inside",
        )
    where = ndimage.find_objects(mask.astype(np.uint8))[0]
    # A border of background closes the surface where the structure meets the edge of the image.
    part = np.pad(mask[where], 1).astype(np.float32)
    corners, faces, _, _ = marching_cubes(part, level=0.5)
    voxels = corners.astype(np.float64) + [side.start - 1 for side in where]
    to_patient = _RAS_TO_LPS @ affine
    # scikit-image winds clockwise as seen from outside, in a right-handed grid.
    turned = faces[:, ::-1] if np.linalg.det(to_patient[:3, :3]) > 0 else faces
    vertices = voxels @ to_patient[:3, :3].T + to_patient[:3, 3]
    return Mesh(vertices, np.ascontiguousarray(turned, dtype=np.intp))


def write_stl(path: str | os.PathLike[str], meshes: Sequence[Mesh]) -> None:
    """Write binary STL, all meshes in one file; it appears whole or not at all.

    The header names the convention in the words that 3D Slicer reads.

    Raises:
        OutputError: the file cannot be written.
    """
    count = sum(len(mesh.faces) for mesh in meshes)
    with replacing(path) as handle:
        handle.write(b"MediRound, research use only; SPACE=LPS, mm".ljust(_HEADER_BYTES))
        handle.write(np.array(count, dtype="<u4").tobytes())
        for mesh in meshes:
            handle.write(_records(mesh).tobytes())


def _records(mesh: Mesh) -> NDArray[Any]:
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records = np.zeros(len(mesh.faces), dtype=_TRIANGLE)
    records["normal"] = normals / np.maximum(lengths, np.finfo(np.float64).tiny)
    records["corners"] = corners
    return records
