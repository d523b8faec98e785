from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mediround.errors import ImageFileError
from mediround.imaging import Image, Modality

SHAPES = st.tuples(st.integers(8, 12), st.integers(8, 12))


@given(hnp.arrays(st.sampled_from([np.uint8, np.int16, np.int32]), SHAPES))
def test_pixels_keep_their_values_and_type(array: np.ndarray) -> None:
    image = Image.from_array(array, modality=Modality.MR, spacing=(1, 2))
    assert image.pixels.dtype == array.dtype
    assert np.array_equal(image.pixels, array)
    assert image.size == array.shape
    assert image.spacing == (1.0, 2.0)


def test_image_owns_its_pixels_and_refuses_writing() -> None:
    array = np.zeros((8, 8), np.uint8)
    image = Image.from_array(array)
    before = image.content_hash
    array[0, 0] = 1
    assert image.pixels[0, 0] == 0
    assert image.content_hash == before
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1


def test_hash_is_of_type_shape_and_values_not_of_memory_layout() -> None:
    array = np.arange(96, dtype=np.int16).reshape(8, 12)
    expected = hashlib.sha256(b"<i2 (8, 12)" + array.tobytes()).hexdigest()
    assert Image.from_array(array).content_hash == expected
    assert Image.from_array(array.astype(">i2")).content_hash == expected
    assert Image.from_array(np.asfortranarray(array)).content_hash == expected
    others: list[np.ndarray] = [array.astype(np.int32), array.reshape(12, 8), array + np.int16(1)]
    hashes = {expected, *(Image.from_array(other).content_hash for other in others)}
    assert len(hashes) == 4


def test_types_without_a_pixel_meaning_are_widened() -> None:
    assert Image.from_array(np.eye(8, dtype=bool)).pixels.dtype == np.uint8
    assert Image.from_array(np.eye(8, dtype=np.float16)).pixels.dtype == np.float32


def test_equal_channels_become_gray_and_others_stay_colour() -> None:
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(Image.from_array(np.stack([gray] * 3, axis=2)).pixels, gray)
    assert Image.from_array(np.stack([gray, gray, gray + 1], axis=2)).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((8, 8, 4)), "colour image"),
        (np.zeros(64), "gray image"),
        (np.zeros((7, 8)), "8 to 16384"),
        (np.zeros((8, 16_385), np.uint8), "8 to 16384"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000)), "80 megapixels"),
        (np.full((8, 8), np.nan), "not finite"),
        (np.full((8, 8), -np.inf), "not finite"),
        (np.full((8, 8), 1j), "complex"),
        (np.full((8, 8), "x"), "type"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: Any, words: str) -> None:
    with pytest.raises(ImageFileError, match=words):
        Image.from_array(array)


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_spacing_must_be_positive(spacing: tuple[float, float]) -> None:
    with pytest.raises(ImageFileError, match="spacing"):
        Image.from_array(np.zeros((8, 8)), spacing=spacing)
