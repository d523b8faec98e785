from __future__ import annotations

import itertools
from typing import Any, get_args

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Edges, Plane, Volume
from mediround.imaging.affine import closest_axes, unknown_affine

nib: Any = nibabel
PLANES = get_args(Plane)
SHAPE = (8, 9, 10)
STEPS = (0.5, 0.75, 2.0)
CODES = [
    "".join(letters)
    for axes in itertools.permutations(["RL", "AP", "SI"])
    for letters in itertools.product(*axes)
]
DISPLAY_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}


def affine_of(code: str) -> np.ndarray:
    """Steps of 0.5, 0.75 and 2 mm along I, J and K in the directions of an axis code."""
    affine = np.zeros((4, 4))
    for voxel, letter in enumerate(code):
        patient = next(axis for axis, pair in enumerate(["RL", "AP", "SI"]) if letter in pair)
        affine[patient, voxel] = STEPS[voxel] * (1 if letter in "RAS" else -1)
    affine[:, 3] = [3, -5, 7, 1]
    return affine


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """A rotation about x, then y, then z, by angles in degrees."""
    turned = np.eye(4)
    for axis, angle in enumerate(np.radians(angles)):
        first, second = [other for other in range(3) if other != axis]
        step = np.eye(4)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def world(volume: Volume) -> np.ndarray:
    """(3, I, J, K): the RAS+ position of every voxel."""
    grid = np.stack(np.meshgrid(*map(np.arange, volume.voxels.shape), indexing="ij"))
    moved = np.einsum("pv,vijk->pijk", volume.affine[:3, :3], grid)
    return np.asarray(moved + volume.affine[:3, 3][:, None, None, None])


def volume_of(affine: np.ndarray) -> Volume:
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    return Volume.from_array(voxels, affine=affine)


def test_there_are_48_axis_codes() -> None:
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("code", CODES)
def test_display_is_radiological_for_every_axis_code(code: str, plane: Plane) -> None:
    volume = volume_of(affine_of(code))
    normal, rows, columns = DISPLAY_AXES[plane]
    position = world(volume)
    shown = [volume.take(position[axis], 2, plane) for axis in range(3)]
    image = volume.slice(2, plane)
    assert image.spacing is not None
    # Row 0 is the most anterior or superior, column 0 the patient's right or most anterior.
    assert np.allclose(np.diff(shown[rows], axis=0), -image.spacing[0])
    assert np.allclose(np.diff(shown[columns], axis=1), -image.spacing[1])
    assert np.ptp(shown[normal]) == pytest.approx(0)
    assert image.size == volume.shape_of(plane) == shown[0].shape
    assert np.array_equal(image.pixels, volume.take(volume.voxels, 2, plane))


def test_edge_letters_of_each_plane() -> None:
    volume = volume_of(affine_of("PIL"))
    assert volume.slice(0, "axial").directions == Edges("R", "L", "A", "P")
    assert volume.slice(0, "coronal").directions == Edges("R", "L", "S", "I")
    assert volume.slice(0, "sagittal").directions == Edges("A", "P", "S", "I")
    assert volume.native_plane == "sagittal"
    assert volume.count("sagittal") == 10


@given(
    code=st.sampled_from(CODES),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    plane=st.sampled_from(PLANES),
    data=st.data(),
)
def test_place_is_the_exact_inverse_of_take(
    code: str, angles: tuple[float, float, float], plane: Plane, data: st.DataObject
) -> None:
    volume = volume_of(rotation(angles) @ affine_of(code))
    index = data.draw(st.integers(0, volume.count(plane) - 1))
    seed = data.draw(st.integers(0, 2**32 - 1))
    mask = np.random.default_rng(seed).random(volume.shape_of(plane)) < 0.4
    placed = volume.place(mask, index, plane)
    assert placed.shape == volume.voxels.shape
    assert placed.dtype == np.bool_
    assert np.array_equal(volume.take(placed, index, plane), mask)
    assert placed.sum() == mask.sum()
    assert np.array_equal(
        np.sort(volume.voxels[placed]), np.sort(volume.slice(index, plane).pixels[mask])
    )


@given(
    code=st.sampled_from(CODES),
    angles=st.tuples(*[st.floats(-20, 20)] * 3),
)
def test_oblique_axes_agree_with_nibabel(code: str, angles: tuple[float, float, float]) -> None:
    affine = rotation(angles) @ affine_of(code)
    theirs = nib.orientations.io_orientation(affine)
    for patient, axis in enumerate(closest_axes(affine)):
        assert theirs[axis.voxel].tolist() == [patient, 1 if axis.ascending else -1]


def test_exact_ties_between_axes_are_decided_the_same_way_with_noise() -> None:
    tie = rotation((45, 0, 0)) @ affine_of("RAS")
    noisy = tie * (1 + 1e-9)
    assert closest_axes(tie) == closest_axes(noisy)
    assert sorted(axis.voxel for axis in closest_axes(tie)) == [0, 1, 2]


def test_without_an_affine_place_and_scale_are_unknown_but_slices_are_fixed() -> None:
    voxels = np.arange(720, dtype=np.int16).reshape(SHAPE)
    volume = Volume.from_array(voxels)
    image = volume.slice(3)
    assert image.directions is None
    assert image.spacing is None
    assert np.array_equal(volume.affine, unknown_affine(SHAPE))
    assert np.array_equal(image.pixels, voxels[:, ::-1, 3].T)


@pytest.mark.parametrize("index", [-1, 10])
def test_slices_outside_the_volume_are_refused(index: int) -> None:
    with pytest.raises(InputError, match="0 to 9"):
        volume_of(affine_of("RAS")).slice(index)


def test_unknown_planes_and_misfitting_masks_are_refused() -> None:
    volume = volume_of(affine_of("RAS"))
    with pytest.raises(InputError, match="axial, coronal or sagittal"):
        volume.slice(0, "oblique")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"bool mask of shape \(9, 8\)"):
        volume.place(np.zeros((8, 9), bool), 0)
    with pytest.raises(InputError, match="bool mask"):
        volume.place(np.zeros((9, 8), np.uint8), 0)
    with pytest.raises(InputError, match="same shape"):
        volume.take(np.zeros((8, 9, 11)), 0)


@pytest.mark.parametrize(
    ("array", "affine", "words"),
    [
        (np.zeros((8, 8)), np.eye(4), "3-D"),
        (np.zeros((8, 8, 8, 2)), np.eye(4), "3-D"),
        (np.zeros((8, 8, 0)), np.eye(4), "3-D"),
        (np.broadcast_to(np.uint8(0), (1024, 1024, 513)), np.eye(4), "at most"),
        (np.full((8, 8, 8), np.nan), np.eye(4), "not finite"),
        (np.zeros((8, 8, 8)), np.zeros((4, 4)), "affine"),
        (np.zeros((8, 8, 8)), np.ones((4, 4)), "affine"),
        (np.zeros((8, 8, 8)), np.eye(3), "affine"),
        (np.zeros((8, 8, 8)), np.diag([1, 1, np.nan, 1]), "affine"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(
    array: np.ndarray, affine: np.ndarray, words: str
) -> None:
    with pytest.raises(ImageFileError, match=words):
        Volume.from_array(array, affine=affine)


def test_a_slice_thinner_than_an_image_is_refused() -> None:
    volume = Volume.from_array(np.zeros((8, 8, 1)), affine=np.eye(4))
    assert volume.slice(0).size == (8, 8)
    with pytest.raises(ImageFileError, match="8 to 16384"):
        volume.slice(0, "coronal")
