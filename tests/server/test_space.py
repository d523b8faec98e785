"""A volume and its masks on one grid, as a viewer in three dimensions gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import nibabel
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.server.conftest import MakeServer, png

from mediround.dialogue import Rle
from mediround.errors import InputError
from mediround.imaging import Image, Plane, Volume
from mediround.imaging.nifti import read_nifti
from mediround.server.space import Coarse

SHAPE = (40, 36, 20)


def _affine(signs: tuple[int, int, int], order: tuple[int, int, int]) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(signs) * (1.5, 1.0, 3.0))[list(order)]
    affine[:3, 3] = (-20, 12, 5)
    return affine


@given(
    signs=st.tuples(*[st.sampled_from((-1, 1))] * 3),
    order=st.permutations((0, 1, 2)),
    longest=st.sampled_from((16, 19, 40, 64)),
    plane=st.sampled_from(get_args(Plane)),
    seed=st.integers(0, 99),
)
def test_masks_lie_where_their_voxels_lie(
    signs: tuple[int, int, int], order: Any, longest: int, plane: Plane, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    voxels = generator.integers(-500, 500, SHAPE).astype(np.int16)
    volume = Volume.from_array(voxels, affine=_affine(signs, tuple(order)))
    coarse = Coarse.of(volume, longest)
    assert max(coarse.shape) <= longest
    index = int(generator.integers(volume.count(plane)))
    mask = generator.random(volume.shape_of(plane)) < 0.02
    where, placed = coarse.place(mask, index, plane)
    found = np.zeros(coarse.shape, np.bool_)
    found[where] = placed
    exact = np.argwhere(volume.place(mask, index, plane))
    expected = np.zeros(coarse.shape, np.bool_)
    expected[tuple((exact // coarse.steps).T)] = True
    np.testing.assert_array_equal(found, expected)
    small = coarse.volume()
    np.testing.assert_array_equal(
        small.voxels, voxels[tuple(slice(None, None, s) for s in coarse.steps)]
    )
    last = np.array(coarse.shape) - 1
    there = volume.affine @ (*(last * coarse.steps), 1)
    np.testing.assert_allclose(small.affine @ (*last, 1), there)


@pytest.mark.parametrize(
    ("voxels", "kind"),
    [
        (np.zeros((16, 16, 16), np.uint8), "uint8"),
        (np.full((16, 16, 16), 300, np.int64), "int16"),
        (np.full((16, 16, 16), 40_000, np.uint16), "float32"),
        (np.full((16, 16, 16), 0.25), "float32"),
    ],
)
def test_values_come_in_types_that_viewers_know(voxels: NDArray[Any], kind: str) -> None:
    small = Coarse.of(Volume.from_array(voxels), 64).volume()
    assert small.voxels.dtype.name == kind
    assert (small.voxels == voxels).all()


def test_a_picture_is_refused() -> None:
    with pytest.raises(InputError, match="one slice"):
        Coarse.of(Image.from_array(np.zeros((20, 20), np.uint8)), 64)


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> TestClient:
    """One for these tests."""
    return make_server()


@pytest.fixture
def image(server: TestClient, tmp_path: Path) -> str:
    """An uploaded volume."""
    voxels = np.random.default_rng(0).normal(0, 300, SHAPE).astype(np.int16)
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, _affine((-1, 1, 1), (0, 1, 2))), path)
    answer = server.post("/v1/images", content=path.read_bytes())
    assert answer.status_code == 201
    return str(answer.json()["id"])


def _give(server: TestClient, image: str, plane: Plane, index: int, name: str) -> NDArray[np.bool_]:
    wanted = {"image": image, "plane": plane, "slice": index}
    session = server.post("/v1/sessions", json=wanted).json()
    mask = np.zeros(session["size"], np.bool_)
    mask[3:9, 4:14] = True
    body = {"mask": Rle.encode(mask).model_dump(), "name": name}
    assert server.post(f"/v1/sessions/{session['id']}/entities", json=body).status_code == 201
    return mask


def test_all_dialogues_about_a_volume_are_in_it(
    server: TestClient, image: str, tmp_path: Path
) -> None:
    sent = server.get(f"/v1/images/{image}/volume.nii", params={"longest": 64})
    (tmp_path / "back.nii").write_bytes(sent.content)
    volume = read_nifti(tmp_path / "back.nii")
    assert volume.voxels.shape == SHAPE
    masks = {
        "one": volume.place(_give(server, image, "axial", 4, "one"), 4, "axial"),
        "other": volume.place(_give(server, image, "sagittal", 30, "other"), 30, "sagittal"),
    }
    assert not (masks["one"] & masks["other"]).any()
    labels = server.get(f"/v1/images/{image}/labels", params={"longest": 64}).json()
    assert labels["shape"] == list(SHAPE)
    assert labels["steps"] == [1, 1, 1]
    flat = np.zeros(volume.voxels.size, np.uint16)
    for start, length, label in labels["runs"]:
        flat[start : start + length] = label
    grid = flat.reshape(SHAPE, order="F")
    found = {each["name"]: grid == each["label"] for each in labels["structures"]}
    assert found.keys() == masks.keys()
    for name, mask in masks.items():
        np.testing.assert_array_equal(found[name], mask)
    for plane, axis in labels["axes"].items():
        assert volume.axis(plane) == axis


def test_what_is_no_volume_or_nobody_s_is_refused(server: TestClient) -> None:
    picture = server.post("/v1/images", content=png(1)).json()["id"]
    for what in ("volume.nii", "labels"):
        assert server.get(f"/v1/images/{picture}/{what}").status_code == 400
        assert server.get(f"/v1/images/{'0' * 32}/{what}").status_code == 404
