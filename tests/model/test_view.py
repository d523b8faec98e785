"""What a model looks at, and the way back to the image's own pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.config import ModelConfig, NormalisationConfig
from mediround.errors import QueryError
from mediround.geometry import BoolMask, mask_to_box
from mediround.imaging.image import Image, Modality
from mediround.model.official.postprocess import full_size
from mediround.model.view import CanvasView, PictureView, eight_bit, look
from mediround.presets import official_tiny, tiny
from mediround.quirks import OfficialQuirks


def image(rows: int, columns: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(1, 256, (rows, columns), dtype=np.uint8)
    return Image(pixels=pixels)


def disc(rows: int, columns: int) -> BoolMask:
    y, x = np.ogrid[:rows, :columns]
    return (y - rows * 0.6) ** 2 + (x - columns * 0.4) ** 2 < (min(rows, columns) * 0.3) ** 2


@settings(deadline=None, max_examples=15)
@given(st.integers(40, 300), st.integers(40, 300))
def test_a_mask_drawn_on_the_network_s_grid_comes_back_in_its_place(
    rows: int, columns: int
) -> None:
    view = look(image(rows, columns), official_tiny())
    assert isinstance(view, PictureView)
    mask = disc(rows, columns)
    square = np.zeros((1, 1, 1024, 1024), np.float32)
    shown = F.interpolate(
        torch.from_numpy(mask[None, None].astype(np.float32)), view.shown, mode="bilinear"
    )
    square[..., : view.shown[0], : view.shown[1]] = shown.numpy()
    low = F.interpolate(torch.from_numpy(square), (256, 256), mode="area")[:, 0] - 0.5
    found = view.masks(low)
    assert found.shape == (1, rows, columns)
    overlap = (found[0] & mask).sum() / (found[0] | mask).sum()
    assert overlap > 0.9


@pytest.mark.parametrize("config", [tiny(), official_tiny()])
def test_every_view_fits_its_model(config: ModelConfig) -> None:
    view = look(image(60, 84), config)
    assert view.size == (60, 84)
    sides = [each.shape for each in view.pixels]
    is_canvas = isinstance(view, CanvasView)
    assert sides == ([(3, 64, 64)] if is_canvas else [(3, 1024, 1024), (3, 336, 336)])
    marks = [each.shape for each in view.mark(disc(60, 84))]
    assert marks == ([(16, 16)] if is_canvas else [(3, 336, 336), (4,)])
    assert all(each.dtype == np.float32 for each in (*view.pixels, *view.mark(disc(60, 84))))


def test_a_mark_s_box_is_the_mask_s() -> None:
    view = look(image(50, 80), official_tiny())
    _, box = view.mark(disc(50, 80))
    tight = mask_to_box(disc(50, 80))
    assert tight is not None
    assert (box * [80, 50, 80, 50]).tolist() == pytest.approx(tight.corners, abs=1e-4)


def test_no_mark_of_nothing_whatever_the_quirks() -> None:
    for quirks in (OfficialQuirks(), OfficialQuirks(failed_update_keeps_truth=True)):
        view = look(image(50, 80), dataclasses.replace(official_tiny(), quirks=quirks))
        with pytest.raises(QueryError, match="mask without pixels"):
            view.mark(np.zeros((50, 80), dtype=bool))


def test_eight_bits_are_left_alone_and_colours_too() -> None:
    settings = NormalisationConfig()
    gray = image(20, 30)
    assert (eight_bit(gray, settings) == gray.pixels[..., None]).all()
    colour = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (eight_bit(Image(pixels=colour), settings) == colour).all()


def test_hounsfield_units_are_windowed() -> None:
    values = np.array([[-1000, -160, 40, 240, 3000]] * 10, np.int16).repeat(2, axis=1)
    picture = eight_bit(
        Image(pixels=values, modality=Modality.CT, unit="HU"), NormalisationConfig()
    )
    assert picture.shape == (10, 10, 3)
    assert picture[0, ::2, 0].tolist() == [0, 0, 128, 255, 255]


def test_other_values_are_stretched() -> None:
    values = np.linspace(0, 5000, 400, dtype=np.float32).reshape(20, 20)
    picture = eight_bit(Image(pixels=values, modality=Modality.MR), NormalisationConfig())
    assert picture.dtype == np.uint8
    assert picture.min() == 0
    assert picture.max() == 255
    assert (np.diff(picture[..., 0].ravel().astype(int)) >= 0).all()


def test_full_size_of_a_constant_is_that_constant() -> None:
    found = full_size(torch.full((2, 16, 16), -3.5), 64, (40, 64), (25, 40))
    assert found.shape == (2, 25, 40)
    torch.testing.assert_close(found, torch.full_like(found, -3.5))
