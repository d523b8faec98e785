"""Pixels, crops and boxes: equal to what was recorded from the official code, and right without."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, QueryError
from mediround.geometry import mask_to_box
from mediround.model.official.inputs import (
    CLIP_MEAN,
    CLIP_STD,
    clip_picture,
    clip_pixels,
    sam_pixels,
)
from mediround.model.official.reference import (
    annotated_reference,
    file_mask,
    normalised_box,
    predicted_reference,
    square_crop,
)
from mediround.quirks import OfficialQuirks

OFFICIAL = OfficialQuirks.all()
DIALOGUES = (
    "A_one_round",
    "B_three_rounds_back_to_first",
    "C_five_rounds_mixed",
    "D_four_rounds_chain",
)


def picture(path: Path) -> NDArray[np.uint8]:
    with PillowImage.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def gray(path: Path) -> NDArray[np.uint8]:
    with PillowImage.open(path) as opened:
        return np.asarray(opened.convert("L"))


def values(golden: Path, name: str) -> Any:
    return json.loads((golden / "golden" / name).read_text())


def sha(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def brightness(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """The 0..255 values behind normalised pixels (3, H, W)."""
    mean, std = (np.array(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return np.asarray(np.round((pixels * std + mean) * 255))


@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_pixels_are_equal_to_the_last_bit(golden: Path, name: str) -> None:
    meta = values(golden, "inputs_meta.json")[name]
    recorded = np.load(golden / "golden" / name / "inputs.npz")
    rgb = picture(golden / "data" / "images" / f"{name[0]}.png")

    clip = clip_pixels(rgb, quirks=OFFICIAL)
    assert sha(clip) == meta["clip_sha256"]
    np.testing.assert_array_equal(clip[:, ::16, ::16], recorded["clip_stride16"])
    shown = clip_picture(rgb, quirks=OFFICIAL)
    np.testing.assert_array_equal(shown.transpose(2, 0, 1), recorded["clip_u8"])

    sam, shape = sam_pixels(rgb)
    assert list(shape) == meta["resize"]
    assert sha(sam) == meta["sam_sha256"]
    np.testing.assert_array_equal(sam[:, ::16, ::16], recorded["sam_pixels_stride16"])
    assert not sam[:, shape[0] :].any()
    assert not sam[:, :, shape[1] :].any()


@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_crops_and_boxes(golden: Path, name: str) -> None:
    meta = values(golden, "inputs_meta.json")[name]
    recorded = np.load(golden / "golden" / name / "inputs.npz")
    record = json.loads((golden / "data" / f"{name}.json").read_text())
    turns = (record[0] if isinstance(record, list) else record)["conversations"]
    rgb = picture(golden / "data" / "images" / f"{name[0]}.png")
    paths = [
        turn["value"].split("MASK-ENCODE:")[1].split("]")[0]
        for turn in turns
        if "MASK-ENCODE" in turn["value"]
    ]
    assert len(paths) == len(meta["crop_sha256"])
    for place, path in enumerate(paths):
        found = annotated_reference(rgb, gray(golden / "data" / path), quirks=OFFICIAL)
        assert sha(found.pixels) == meta["crop_sha256"][place]
        np.testing.assert_array_equal(brightness(found.pixels), recorded["crop_u8"][place])
        np.testing.assert_allclose(found.box, recorded["boxes"][place], atol=1e-7)


@pytest.mark.parametrize("name", ["A_512x512", "B_320x512", "black_image"])
def test_recorded_reference_updates(golden: Path, name: str) -> None:
    meta = values(golden, f"reference_update_{name}.json")
    recorded = np.load(golden / "golden" / f"reference_update_{name}.npz")
    rows, columns = (int(n) for n in recorded["mask_shape"][-2:])
    masks = np.unpackbits(recorded["masks"], axis=1)[:, : rows * columns].astype(bool)
    path = golden / "data" / meta["image"]
    # The black picture was made for the occasion and is not among the data.
    rgb = picture(path) if path.exists() else np.zeros((rows, columns, 3), np.uint8)
    for place, case in enumerate(meta["cases"]):
        mask = masks[place].reshape(rows, columns)
        found = predicted_reference(rgb, mask, quirks=OFFICIAL)
        assert (found is not None) == case["updated"], case["case"]
        if found is not None:
            np.testing.assert_array_equal(brightness(found.pixels), recorded["crop_u8"][place])
            np.testing.assert_allclose(found.box, recorded["boxes"][place], atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (1, 3), (4, 4)])
def test_recorded_tiny_references(golden: Path, shape: tuple[int, int]) -> None:
    rgb = picture(golden / "data" / "images" / "A.png")
    mask = np.zeros(rgb.shape[:2], np.uint8)
    mask[250 : 250 + shape[0], 250 : 250 + shape[1]] = 255
    recorded = values(golden, "quirks.json")[f"tiny_reference_{shape[0]}x{shape[1]}"]["result"]

    found = annotated_reference(rgb, mask, quirks=OFFICIAL)
    np.testing.assert_allclose(
        found.pixels.mean((1, 2)), recorded["per_channel_mean"], rtol=0, atol=2e-6
    )
    np.testing.assert_allclose(found.box, recorded["box"], atol=1e-7)

    right = annotated_reference(rgb, mask)
    spread = np.ptp(brightness(right.pixels), axis=0)
    assert spread.max() == 0  # a gray picture stays gray


def test_a_mask_file_with_several_values(golden: Path) -> None:
    recorded = values(golden, "quirks.json")["mask_values_0_1_254_255"]["result"]
    mask = np.zeros((512, 512), np.uint8)
    top, bottom, left, right = recorded["crop_bbox_rows_cols"]
    x0, y0, x1, y1 = (round(f * 512) for f in recorded["box"])
    mask[top:bottom, left:right][::40, ::40] = 1
    mask[bottom - 1, right - 1] = 254
    mask[y0 : y1 + 1, x0 : x1 + 1] = 255
    assert np.count_nonzero(file_mask(mask, OFFICIAL)) == np.count_nonzero(mask == 255)
    np.testing.assert_allclose(
        normalised_box(file_mask(mask, OFFICIAL), OFFICIAL), recorded["box"], atol=1e-12
    )
    crop = square_crop(np.repeat(mask[..., None], 3, axis=2), mask != 0)
    assert crop.shape[0] == max(bottom - top, right - left)
    with pytest.raises(ImageFileError, match="3 values besides 0"):
        file_mask(mask)


@pytest.mark.parametrize("value", [1, 200, 255])
def test_any_one_value_is_a_mask(value: int) -> None:
    pixels = np.zeros((4, 5), np.uint8)
    pixels[1, 2] = value
    assert np.argwhere(file_mask(pixels)).tolist() == [[1, 2]]
    assert file_mask(pixels, OFFICIAL).any() == (value == 255)


def test_the_ends_of_a_wide_picture_are_seen_unless_the_quirk_is_wanted() -> None:
    rgb = np.zeros((40, 100, 3), np.uint8)
    rgb[:, :5] = 255
    assert (clip_picture(rgb, 50)[25, :2] > 200).all()
    assert clip_picture(rgb, 50, OfficialQuirks(clip_centre_crop=True)).max() == 0


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_every_size_becomes_a_square(rows: int, columns: int, side: int) -> None:
    rgb = np.full((rows, columns, 3), 77, np.uint8)
    for quirks in (OfficialQuirks(), OfficialQuirks(clip_centre_crop=True)):
        assert clip_pixels(rgb, side, quirks).shape == (3, side, side)
    pixels, shape = sam_pixels(rgb, side=64)
    assert pixels.shape == (3, 64, 64)
    assert max(shape) == 64


@given(st.data())
def test_box_and_crop_fit_the_mask(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    bits = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    mask = np.array(bits).reshape(rows, columns)
    rgb = np.full((rows, columns, 3), 200, np.uint8)
    box = mask_to_box(mask)
    if box is None:
        with pytest.raises(QueryError, match="without pixels"):
            predicted_reference(rgb, mask, 16)
        return
    found = predicted_reference(rgb, mask, 16)
    assert found is not None
    np.testing.assert_allclose(found.box, box.normalised((rows, columns)), rtol=1e-6)
    crop = square_crop(np.where(mask[..., None], rgb, np.uint8(0)), mask)
    assert np.count_nonzero(crop[..., 0]) == np.count_nonzero(mask)
    inclusive = normalised_box(mask, OfficialQuirks(inclusive_boxes=True))
    np.testing.assert_allclose(found.box - inclusive, [0, 0, 1 / columns, 1 / rows], atol=1e-6)


def test_a_black_region_is_a_region_and_not_the_whole_image() -> None:
    rgb = np.zeros((30, 30, 3), np.uint8)
    rgb[20:] = 90
    mask = np.zeros((30, 30), bool)
    mask[3:13, 5:15] = True
    right = predicted_reference(rgb, mask, 16)
    quirky = predicted_reference(rgb, mask, 16, OFFICIAL)
    assert right is not None
    assert quirky is not None
    np.testing.assert_allclose(right.box, [5 / 30, 3 / 30, 15 / 30, 13 / 30], rtol=1e-6)
    assert brightness(right.pixels).max() == 0
    np.testing.assert_allclose(quirky.box, [0, 0, 29 / 30, 29 / 30], rtol=1e-6)


def test_mask_and_image_must_fit() -> None:
    with pytest.raises(ImageFileError, match="5 x 5 pixels for an image of 4 x 4"):
        predicted_reference(np.zeros((4, 4, 3), np.uint8), np.ones((5, 5), bool))


def test_an_empty_annotation_is_refused() -> None:
    with pytest.raises(ImageFileError, match="without a region"):
        annotated_reference(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
