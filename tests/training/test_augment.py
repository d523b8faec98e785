from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from mediround.training.augment import Augmentation, augment

SIDE = 64
GEOMETRY = Augmentation(noise=0, blur=0, quarter_turns=True, mirror=True)
STILL = Augmentation(rotate=0, scale=(1, 1), shift=0)


def spot(row: int, column: int) -> NDArray[np.uint8]:
    """A label map with one small disc."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.where((rows - row) ** 2 + (columns - column) ** 2 <= 9, 3, 0).astype(np.uint8)


@settings(deadline=None)
@given(st.integers(12, SIDE - 13), st.integers(12, SIDE - 13), st.integers(0, 999))
def test_picture_and_labels_move_together(row: int, column: int, seed: int) -> None:
    labels = spot(row, column)
    pixels = np.stack([labels / 3.0] * 3).astype(np.float32)
    moved, moved_labels = augment(pixels, labels, GEOMETRY, np.random.default_rng(seed))
    assert moved.shape == pixels.shape
    assert moved.dtype == np.float32
    assert moved_labels.dtype == labels.dtype
    assert set(np.unique(moved_labels)) <= {0, 3}
    if moved_labels.sum() < 3 * 15:  # most of the disc has left the canvas
        return
    light = ndimage.center_of_mass(moved[0])
    # labels move to the nearest pixel, light is interpolated: of a small disc, up to 0.7 apart
    assert light == pytest.approx(ndimage.center_of_mass(moved_labels), abs=0.75)
    assert (moved_labels > 0)[moved[0] > 0.99].all()
    np.testing.assert_array_equal(moved[0], moved[2])


@settings(deadline=None)
@given(st.integers(0, 999))
def test_sides_are_kept_unless_mirroring_is_allowed(seed: int) -> None:
    quiet = dataclasses.replace(GEOMETRY, quarter_turns=False, mirror=False)
    labels = spot(20, 16) + spot(44, 16) // 3
    pixels = np.stack([labels / 3.0] * 3).astype(np.float32)
    _, moved = augment(pixels, labels, quiet, np.random.default_rng(seed))
    (top, left), (bottom, right) = (ndimage.center_of_mass(moved == value) for value in (3, 1))
    assert top < bottom
    # From the upper to the lower disc the canvas' left edge stays on the same hand.
    assert left + right < SIDE


def test_mirroring_and_turning_happen_when_they_are_allowed() -> None:
    labels = spot(20, 12)
    pixels = np.stack([labels / 3.0] * 3).astype(np.float32)
    corners = set()
    for seed in range(60):
        _, moved = augment(pixels, labels, GEOMETRY, np.random.default_rng(seed))
        row, column = ndimage.center_of_mass(moved)
        corners.add((row > SIDE / 2, column > SIDE / 2, abs(row - 32) > abs(column - 32)))
    assert len(corners) == 8


@settings(deadline=None)
@given(st.integers(0, 999))
def test_bending_moves_every_pixel_a_little_and_picture_and_labels_alike(seed: int) -> None:
    bent = dataclasses.replace(STILL, noise=0, blur=0, bend=4)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    labels = np.mgrid[:SIDE, :SIDE][1].astype(np.uint8)
    moved, moved_labels = augment(
        np.stack([rows, columns, columns]), labels, bent, np.random.default_rng(seed)
    )
    inner = (slice(5, -5), slice(5, -5))
    travelled = np.stack([(moved[0] - rows)[inner], (moved[1] - columns)[inner]]) * SIDE
    assert 0 < np.abs(travelled).max() <= 4.01
    assert np.abs(np.diff(travelled, axis=1)).max() < 1.5  # neighbours stay neighbours
    np.testing.assert_allclose(moved_labels[inner], moved[1][inner] * SIDE, atol=0.501)


def test_nothing_moves_when_nothing_may() -> None:
    still = dataclasses.replace(STILL, noise=0, blur=0)
    labels = spot(30, 40)
    pixels = np.random.default_rng(0).random((3, SIDE, SIDE)).astype(np.float32)
    moved, moved_labels = augment(pixels, labels, still, np.random.default_rng(1))
    np.testing.assert_allclose(moved, pixels, atol=1e-6)
    np.testing.assert_array_equal(moved_labels, labels)


@settings(deadline=None)
@given(st.integers(0, 999))
def test_intensities_stay_in_range_and_padding_stays_dark(seed: int) -> None:
    pixels = np.random.default_rng(seed).random((3, SIDE, SIDE)).astype(np.float32)
    pixels[:, :, 40:] = 0
    labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    changed, _ = augment(pixels, labels, STILL, np.random.default_rng(seed))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not changed[:, :, 41:].any()
    assert not np.allclose(changed, pixels, atol=1e-3)


def test_equal_generators_give_equal_views() -> None:
    pixels = np.random.default_rng(0).random((3, SIDE, SIDE)).astype(np.float32)
    labels = spot(20, 20)
    views = [augment(pixels, labels, Augmentation(), np.random.default_rng(5)) for _ in range(2)]
    for one, other in zip(*views, strict=True):
        np.testing.assert_array_equal(one, other)
