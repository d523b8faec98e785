"""Surfaces enclose exactly the voxels they were made of, wherever those lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mediround.errors import InputError
from mediround.imaging.surface_mesh import Mesh, surface_mesh, write_stl

Mask = NDArray[np.bool_]
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OBLIQUE = np.array(
    [[-0.7, 0.1, 0.05, 12.0], [0.1, 0.8, -0.2, -7.5], [0.0, 0.3, 2.5, 100.0], [0, 0, 0, 1.0]]
)
masks = hnp.arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3)).filter(lambda m: bool(m.any()))


def voxels_inside(vertices: NDArray[np.float64], affine: NDArray[np.float64], like: Mask) -> Mask:
    """The mask again: every vertex half way along I is a step between inside and outside."""
    back = np.linalg.inv(LPS @ affine)
    index = vertices @ back[:3, :3].T + back[:3, 3]
    whole = np.rint(index)
    # Others lie between voxels along another axis, or inside a cell that could be cut in two ways.
    along_i = (np.abs(index - whole)[:, 1:] < 1e-3).all(axis=1)
    assert np.abs(np.abs(index - np.floor(index))[along_i, 0] - 0.5).max() < 1e-3
    steps = np.zeros((like.shape[0] + 1, *like.shape[1:]), dtype=bool)
    ends = np.ceil(index[along_i, 0]).astype(int)
    steps[ends, whole[along_i, 1].astype(int), whole[along_i, 2].astype(int)] = True
    inside: Mask = np.logical_xor.accumulate(steps, axis=0)[:-1]
    return inside


def volume_of(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1], corners[:, 2])
    return float(np.einsum("ij,ij->", corners[:, 0], cross)) / 6


@settings(max_examples=60, deadline=None)
@given(mask=masks)
def test_the_mask_can_be_read_from_its_surface(mask: Mask) -> None:
    mesh = surface_mesh(mask, OBLIQUE)
    assert (voxels_inside(mesh.vertices, OBLIQUE, mask) == mask).all()


@settings(max_examples=60, deadline=None)
@given(mask=masks, mirrored=st.booleans())
def test_it_is_closed_and_faces_outwards(mask: Mask, mirrored: bool) -> None:
    affine = OBLIQUE @ np.diag([-1.0 if mirrored else 1.0, 1, 1, 1])
    mesh = surface_mesh(mask, affine)
    edges = Counter(
        (int(a), int(b))
        for face in mesh.faces
        for a, b in zip(face, np.roll(face, -1), strict=True)
    )
    assert all(edges[b, a] == count for (a, b), count in edges.items())
    assert volume_of(mesh) > 0


def test_a_large_box_has_its_volume() -> None:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[5:35, 5:35, 5:35] = True
    mesh = surface_mesh(mask, np.diag([2.0, 2.0, 2.0, 1.0]))
    assert volume_of(mesh) == pytest.approx(60**3, rel=0.01)


def test_an_stl_holds_the_triangles(tmp_path: Path) -> None:
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[1:4, 2, 1:3] = True
    mesh = surface_mesh(mask, OBLIQUE)
    write_stl(tmp_path / "a.stl", [mesh, mesh])
    data = (tmp_path / "a.stl").read_bytes()
    assert data.startswith(b"MediRound")  # "solid" would make it a text file
    assert b"SPACE=LPS" in data[:80]
    assert int.from_bytes(data[80:84], "little") == 2 * len(mesh.faces)
    assert len(data) == 84 + 50 * 2 * len(mesh.faces)
    records = np.frombuffer(data[84:], dtype=[("numbers", "<f4", 12), ("attribute", "<u2")])
    corners = records["numbers"][: len(mesh.faces), 3:].reshape(-1, 3)
    assert np.abs(corners - mesh.vertices[mesh.faces].reshape(-1, 3)).max() < 1e-4
    normals = records["numbers"][:, :3]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (voxels_inside(corners.astype(np.float64), OBLIQUE, mask) == mask).all()


def test_nothing_has_no_surface() -> None:
    with pytest.raises(InputError, match="without surface"):
        surface_mesh(np.zeros((3, 3, 3), dtype=bool), np.eye(4))
    with pytest.raises(InputError, match="without surface"):
        surface_mesh(np.ones((3, 3), dtype=bool), np.eye(4))
