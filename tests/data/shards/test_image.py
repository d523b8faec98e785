"""An image as a shard keeps it comes back as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mediround.data.shards import StoredImage
from mediround.errors import DatasetError, ImageFileError
from mediround.imaging import Edges, Image, Modality

SHAPES = st.tuples(st.integers(8, 14), st.integers(8, 14))
FACTS = {"dataset": "d", "patient": "p", "slice": "s", "oriented": False}


def stored(image: Image, structures: Any = ()) -> tuple[StoredImage, bytes]:
    facts, png = StoredImage.store(image, structures, **FACTS)
    again = StoredImage.model_validate_json(facts.model_dump_json(exclude_none=True))
    assert again == facts
    return again, png


@given(
    st.one_of(
        arrays.arrays(np.uint8, SHAPES),
        arrays.arrays(np.uint16, SHAPES),
        arrays.arrays(np.int8, SHAPES),
        arrays.arrays(np.int16, SHAPES),
        arrays.arrays(np.int32, SHAPES, elements=st.integers(-40_000, 25_000)),
        arrays.arrays(np.uint64, SHAPES, elements=st.integers(2**52, 2**52 + 65_535)),
        arrays.arrays(np.float32, SHAPES, elements=st.integers(-1000, 3000)),
        arrays.arrays(np.uint8, st.tuples(st.just(9), st.just(8), st.just(3))),
    )
)
def test_values_that_fit_are_kept_exactly(pixels: np.ndarray) -> None:
    image = Image(pixels=pixels)
    facts, png = stored(image)
    back = facts.image(png)
    assert back.pixels.dtype == image.pixels.dtype
    assert np.array_equal(back.pixels, image.pixels)
    assert facts.sha256 == back.content_hash == image.content_hash


@given(arrays.arrays(np.float64, SHAPES, elements=st.floats(-1e6, 1e6)))
def test_other_values_are_rounded_to_half_a_step(pixels: np.ndarray) -> None:
    facts, png = stored(Image(pixels=pixels))
    back = facts.image(png)
    assert np.abs(back.pixels - pixels).max() <= 0.5001 * facts.slope + 1e-9
    assert back.content_hash == facts.sha256


def test_what_is_known_of_the_image_is_kept() -> None:
    image = Image(
        pixels=np.arange(80, dtype=np.int16).reshape(10, 8) - 40,
        modality=Modality.CT,
        unit="HU",
        spacing=(0.5, 0.7),
        directions=Edges("R", "L", "A", "P"),
        window=(40.0, 400.0),
    )
    facts, png = stored(image)
    back = facts.image(png)
    for name in ("modality", "unit", "spacing", "directions", "window"):
        assert getattr(back, name) == getattr(image, name)


def test_masks_of_one_entity_are_joined() -> None:
    one, other = np.zeros((2, 9, 9), dtype=bool)
    one[1:3, 1:3] = True
    other[2:6, 2:6] = True
    image = Image(pixels=np.zeros((9, 9), np.uint8))
    facts, _ = stored(image, [("nerve", one), ("vessel", other), ("nerve", other)])
    masks = facts.masks()
    assert list(masks) == ["nerve", "vessel"]
    assert np.array_equal(masks["nerve"], one | other)
    assert np.array_equal(masks["vessel"], other)


def test_a_png_of_another_size_is_refused() -> None:
    facts, _ = stored(Image(pixels=np.zeros((9, 9), np.uint8)))
    _, other = stored(Image(pixels=np.zeros((9, 10), np.uint8)))
    with pytest.raises(DatasetError, match="9 x 10 pixels; expected 9 x 9"):
        facts.image(other)
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        facts.image(other[:30])
