from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mediround.config import NormalisationConfig
from mediround.geometry import BoolMask, Box, mask_to_box
from mediround.imaging.image import Image, Modality
from mediround.imaging.normalise import body, content, hounsfield, normalise

CONFIG = NormalisationConfig()
SHAPE = (256, 256)


def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> BoolMask:
    """A filled ellipse of ``SHAPE``; centre and radii as (x, y)."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across, down = (columns - centre[0]) / radii[0], (rows - centre[1]) / radii[1]
    inside: BoolMask = across**2 + down**2 <= 1
    return inside


BODY = ellipse((128, 120), (95, 70))
LIVER = ellipse((90, 110), (35, 30))


def phantom(seed: int = 0) -> NDArray[np.float64]:
    """An abdomen in Hounsfield units: air, table, fat, tissue, an organ, bone, gas."""
    image = np.full(SHAPE, -1000.0)
    image[205:209, 40:216] = 0  # the table
    image[BODY] = -100
    image[ellipse((128, 120), (78, 53))] = 40
    image[LIVER] = 110
    image[ellipse((128, 165), (14, 12))] = 700
    image[ellipse((160, 95), (10, 8))] = -900
    return image + np.random.default_rng(seed).normal(0, 8, SHAPE)


def raw(image: NDArray[np.float64], *, padded: bool = True) -> NDArray[np.uint8]:
    """Stored over the full range in 8 bits; outside a round field of view there is padding."""
    stored = np.clip((image + 1024) / (3071 + 1024) * 255, 0, 255)
    stored = np.round(stored)
    if padded:
        stored[~ellipse((127.5, 127.5), (128, 128))] = 0
    else:
        stored = stored + 3
    return stored.astype(np.uint8)


def windowed(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """As a viewer shows it: centre 40, width 400."""
    return np.clip((image + 160) / 400 * 255, 0, 255).astype(np.uint8)


def picture(pixels: NDArray[Any], modality: Modality, unit: str | None = None) -> Image:
    return Image(pixels=pixels, modality=modality, unit=unit)


def values(image: Image, mask: BoolMask) -> float:
    """The mean value on the canvas of what lies under a mask of the source."""
    canvas = normalise(image, CONFIG)
    return float(canvas.pixels[0][canvas.placement.to_canvas(mask)].mean())


def test_hounsfield_units_are_windowed_and_the_table_is_cropped_away() -> None:
    image = picture(phantom(), Modality.CT, "HU")
    canvas = normalise(image, CONFIG)
    assert canvas.method == "window"
    assert canvas.pixels.shape == (3, 256, 256)
    assert canvas.pixels.dtype == np.float32
    tight = mask_to_box(BODY)
    assert tight is not None
    crop = canvas.placement.crop
    assert crop.y1 < 205
    np.testing.assert_allclose(crop.corners, tight.corners, atol=8)
    assert values(image, LIVER) == pytest.approx((110 - 40) / 400 + 0.5, abs=0.02)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("modality", [Modality.CT, Modality.UNKNOWN])
def test_raw_ct_without_units_is_calibrated(padded: bool, modality: Modality) -> None:
    image = picture(raw(phantom(), padded=padded), modality)
    canvas = normalise(image, CONFIG)
    assert canvas.method == "calibrated window"
    calibrated = hounsfield(image, image.pixels.astype(np.float32))
    assert calibrated is not None
    assert np.median(calibrated[LIVER]) == pytest.approx(110, abs=60)
    assert np.median(calibrated[:60, 118:138][:20]) == pytest.approx(-1000, abs=30)
    tight = mask_to_box(BODY)
    assert tight is not None
    np.testing.assert_allclose(canvas.placement.crop.corners, tight.corners, atol=9)
    exact = values(picture(phantom(), Modality.CT, "HU"), LIVER)
    assert values(image, LIVER) == pytest.approx(exact, abs=0.15)


@pytest.mark.parametrize("modality", [Modality.CT, Modality.UNKNOWN])
def test_ct_that_was_windowed_for_display_is_stretched(modality: Modality) -> None:
    canvas = normalise(picture(windowed(phantom()), modality), CONFIG)
    assert canvas.method == "percentiles"


@pytest.mark.parametrize("modality", [Modality.MR, Modality.US, Modality.XR, Modality.OTHER])
def test_other_modalities_are_stretched_between_percentiles(modality: Modality) -> None:
    pixels = raw(phantom())  # what would be calibrated, were it CT
    canvas = normalise(picture(pixels, modality), CONFIG)
    assert canvas.method == "percentiles"


def test_magnetic_resonance_of_unknown_kind_is_no_ct() -> None:
    rng = np.random.default_rng(0)
    head = ellipse((128, 128), (80, 100))
    pixels = np.abs(rng.normal(0, 5, SHAPE))
    pixels[head] = rng.gamma(6, 60, int(head.sum()))
    canvas = normalise(picture(pixels.astype(np.int16), Modality.UNKNOWN), CONFIG)
    assert canvas.method == "percentiles"
    box = mask_to_box(head)
    assert box is not None
    np.testing.assert_allclose(canvas.placement.crop.corners, box.corners, atol=12)


def test_a_brain_cut_out_of_its_head_is_no_ct() -> None:
    """Uniform white matter between emptiness looks much like a body in air."""
    rng = np.random.default_rng(0)
    pixels = np.where(BODY, rng.normal(800, 60, SHAPE), 0).astype(np.int16)
    assert normalise(picture(pixels, Modality.UNKNOWN), CONFIG).method == "percentiles"
    noisy = pixels + rng.integers(0, 20, SHAPE).astype(np.int16)
    assert normalise(picture(noisy, Modality.UNKNOWN), CONFIG).method == "calibrated window"


def test_ultrasound_fills_its_range() -> None:
    rng = np.random.default_rng(0)
    cone = ellipse((128, 0), (110, 240))
    pixels = np.where(cone, rng.rayleigh(40, SHAPE).clip(0, 255), 0).astype(np.uint8)
    canvas = normalise(picture(pixels, Modality.US), CONFIG)
    assert canvas.method == "percentiles"
    shown = canvas.pixels[0]
    assert shown.min() == 0
    assert shown.max() > 0.99
    assert 0.2 < shown[canvas.placement.to_canvas(cone)].mean() < 0.6


def test_colour_keeps_its_channels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    pixels[..., 0] //= 4
    canvas = normalise(picture(pixels, Modality.ENDOSCOPY), CONFIG)
    assert canvas.method == "percentiles"
    red, green, blue = (float(channel.mean()) for channel in canvas.pixels)
    assert red < 0.5 * green
    assert green == pytest.approx(blue, abs=0.05)


def test_gray_fills_three_equal_channels() -> None:
    canvas = normalise(picture(raw(phantom()), Modality.CT), CONFIG)
    for channel in canvas.pixels[1:]:
        np.testing.assert_array_equal(channel, canvas.pixels[0])


@pytest.mark.parametrize(
    ("pixels", "unit"),
    [(phantom(), "HU"), (raw(phantom()), None), (windowed(phantom()), None)],
    ids=["units", "raw", "windowed"],
)
def test_a_mask_comes_back_where_it_was(pixels: NDArray[Any], unit: str | None) -> None:
    placement = normalise(picture(pixels, Modality.CT, unit), CONFIG).placement
    shown = placement.to_canvas(LIVER)
    back = placement.to_source(np.where(shown, 1.0, -1.0), -1.0) > 0
    assert back.shape == SHAPE
    assert (back & LIVER).sum() / (back | LIVER).sum() > 0.97


@settings(deadline=None, max_examples=60)
@given(
    st.integers(8, 40),
    st.integers(8, 40),
    st.sampled_from(list(Modality)),
    st.sampled_from([np.uint8, np.int16, np.float32]),
    st.integers(0, 99),
    st.sampled_from([0, 1, 100]),
)
def test_every_picture_has_a_canvas(
    height: int, width: int, modality: Modality, dtype: type[Any], seed: int, spread: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, spread + 1, (height, width)).astype(dtype)
    unit = "HU" if modality is Modality.CT and seed % 2 else None
    canvas = normalise(picture(pixels, modality, unit), CONFIG)
    assert canvas.pixels.shape == (3, 256, 256)
    assert np.isfinite(canvas.pixels).all()
    assert canvas.pixels.min() >= 0
    assert canvas.pixels.max() <= 1
    rows, columns = canvas.placement.shown
    assert not canvas.pixels[:, rows:].any()
    assert not canvas.pixels[:, :, columns:].any()


def test_the_body_is_the_largest_part_without_what_hangs_on_it() -> None:
    dense = BODY.copy()
    dense[128, 223:250] = True  # a tube
    dense[230:250, 5:60] = True  # an arm
    found = body(dense)
    assert found[BODY].mean() > 0.95
    assert not found[128, 230:].any()
    assert not found[230:].any()


def test_a_picture_without_a_body_is_shown_whole() -> None:
    assert body(np.zeros((20, 30), dtype=bool)).all()
    assert content(np.zeros((20, 30))).all()
    air = picture(np.full((20, 30), -1000.0), Modality.CT, "HU")
    assert normalise(air, CONFIG).placement.crop == Box(0.0, 0.0, 30.0, 20.0)
