"""Pixels as PNG bytes, and back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as PillowImage

from mediround.errors import ImageFileError
from mediround.imaging.png import decode_png, encode_png

SIDES = st.integers(8, 20)


@given(
    st.one_of(
        arrays.arrays(np.uint8, st.tuples(SIDES, SIDES)),
        arrays.arrays(np.uint16, st.tuples(SIDES, SIDES)),
        arrays.arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(3))),
    )
)
def test_every_pixel_comes_back(pixels: np.ndarray) -> None:
    data = encode_png(pixels)
    back = decode_png(data, "x.png")
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels)
    assert encode_png(pixels) == data


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((9, 9), np.int16), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.uint16)],
)
def test_what_png_cannot_hold_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ImageFileError, match="expected gray uint8 or uint16"):
        encode_png(pixels)


def test_damaged_and_foreign_files_are_refused() -> None:
    data = encode_png(np.arange(900, dtype=np.uint16).reshape(30, 30))
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        decode_png(data[:-40], "cut.png")
    other = io.BytesIO()
    PillowImage.new("LA", (9, 9)).save(other, format="PNG")
    with pytest.raises(ImageFileError, match="colour space LA"):
        decode_png(other.getvalue(), "alpha.png")
