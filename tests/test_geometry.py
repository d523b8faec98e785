from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from mediround.geometry import (
    LARGEST_MASK,
    BoolMask,
    Box,
    Placement,
    box_to_mask,
    decode_rle,
    encode_rle,
    mask_to_box,
)

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))
shapes = st.tuples(st.integers(8, 300), st.integers(8, 300))


@st.composite
def placements(draw: st.DrawFn, smallest: int = 1) -> Placement:
    rows, columns = draw(st.tuples(*[st.integers(max(8, smallest), 300)] * 2))
    x0 = draw(st.integers(0, columns - smallest))
    y0 = draw(st.integers(0, rows - smallest))
    x1 = draw(st.integers(x0 + smallest, columns))
    y1 = draw(st.integers(y0 + smallest, rows))
    canvas = draw(st.sampled_from([16, 64, 256]))
    return Placement.fit((rows, columns), canvas, Box(float(x0), float(y0), float(x1), float(y1)))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    coordinate = st.floats(-500, 500).map(lambda value: round(value, 3))
    x0, y0 = draw(coordinate), draw(coordinate)
    extent = st.floats(0.01, 500)
    return Box(x0, y0, x0 + draw(extent), y0 + draw(extent))


def ellipse(shape: tuple[int, int], box: Box) -> BoolMask:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    across = (columns + 0.5 - (box.x0 + box.x1) / 2) / (box.width / 2)
    down = (rows + 0.5 - (box.y0 + box.y1) / 2) / (box.height / 2)
    inside: BoolMask = across**2 + down**2 <= 1
    return inside


@pytest.mark.parametrize(
    "corners", [(1, 1, 1, 2), (1, 3, 2, 3), (2, 0, 1, 1), (float("nan"), 0, 1, 1)]
)
def test_a_box_holds_at_least_something(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="empty"):
        Box(*corners)


@given(masks)
def test_the_box_is_tight_round_its_mask(mask: BoolMask) -> None:
    box = mask_to_box(mask)
    if not mask.any():
        assert box is None
        return
    assert box is not None
    rows, columns = np.nonzero(mask)
    assert box.corners == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert not (mask & ~box_to_mask(box, mask.shape)).any()
    assert mask[box.slices()].sum() == mask.sum()


@given(masks)
def test_a_box_of_whole_pixels_is_the_box_of_its_own_mask(mask: BoolMask) -> None:
    box = mask_to_box(mask)
    assume(box is not None)
    assert box is not None
    assert mask_to_box(box_to_mask(box, mask.shape)) == box


@given(boxes(), shapes)
def test_fractions_of_an_image_lead_back_to_the_box(box: Box, shape: tuple[int, int]) -> None:
    back = Box.from_normalised(box.normalised(shape), shape)
    np.testing.assert_allclose(back.corners, box.corners, rtol=1e-9, atol=1e-9)


@given(placements(), st.floats(0, 1))
def test_padding_grows_a_box_inside_the_image(placement: Placement, fraction: float) -> None:
    shape = placement.source
    grown = placement.crop.padded(fraction, shape)
    assert 0 <= grown.x0 <= placement.crop.x0
    assert placement.crop.x1 <= grown.x1 <= shape[1]
    assert 0 <= grown.y0 <= placement.crop.y0
    assert placement.crop.y1 <= grown.y1 <= shape[0]
    assert all(edge == int(edge) for edge in grown.corners)


@given(masks)
def test_run_lengths_lead_back_to_the_mask(mask: BoolMask) -> None:
    code = encode_rle(mask)
    assert code["size"] == list(mask.shape)
    np.testing.assert_array_equal(decode_rle(code), mask)
    assert decode_rle(code).flags.c_contiguous


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(masks)
def test_run_lengths_are_those_of_coco(mask: BoolMask) -> None:
    code = encode_rle(mask)
    theirs = coco.decode({"size": code["size"], "counts": code["counts"].encode()})
    np.testing.assert_array_equal(decode_rle(code), theirs.astype(bool))


@settings(max_examples=300)
@given(
    st.text(st.characters(min_codepoint=0, max_codepoint=0x17F), max_size=30)
    | st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmno", max_size=30),
    st.integers(-3, 40),
    st.integers(-3, 40),
)
def test_any_counts_give_a_mask_of_their_size_or_are_refused(
    counts: str, height: int, width: int
) -> None:
    try:
        mask = decode_rle({"size": [height, width], "counts": counts})
    except ValueError:
        return
    assert mask.shape == (height, width)
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)


@given(masks, st.data())
def test_damaged_counts_give_a_mask_of_their_size_or_are_refused(
    mask: BoolMask, data: st.DataObject
) -> None:
    code = encode_rle(mask)
    counts: str = code["counts"]
    place = data.draw(st.integers(0, len(counts) - 1))
    damage = data.draw(st.sampled_from(["", "0", "O", "P", "o", "\0", "é", counts]))
    broken = {"size": code["size"], "counts": counts[:place] + damage + counts[place + 1 :]}
    try:
        found = decode_rle(broken)
    except ValueError:
        return
    assert found.shape == mask.shape


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"size": [4, 4], "counts": "?"}, "do not add up"),
        ({"size": [4, 5], "counts": "01"}, "do not add up"),
        ({"size": [-4, -4], "counts": "@0"}, "size"),
        ({"size": [0, 4], "counts": ""}, "size"),
        ({"size": [LARGEST_MASK, 2], "counts": ""}, "size"),
        ({"size": [4, 4], "counts": "P"}, "middle of a run"),
        ({"size": [4, 4], "counts": "o" * 100_000}, "too long"),
        ({"size": [4, 4], "counts": "O0"}, "negative"),
        ({"size": [4, 4], "counts": "\0"}, "byte 0"),
    ],
)
def test_what_is_wrong_with_a_code_is_said(code: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_rle(code)


@given(placements(smallest=12), st.data())
def test_a_mask_comes_back_where_it_was(placement: Placement, data: st.DataObject) -> None:
    crop = placement.crop
    pixel = max(1.0, 1 / placement.scale)
    assume(min(crop.width, crop.height) >= 10 * pixel)
    width = data.draw(st.floats(8 * pixel, crop.width))
    height = data.draw(st.floats(8 * pixel, crop.height))
    x0 = data.draw(st.floats(crop.x0, crop.x1 - width))
    y0 = data.draw(st.floats(crop.y0, crop.y1 - height))
    mask = ellipse(placement.source, Box(x0, y0, x0 + width, y0 + height))
    shown = placement.to_canvas(mask)
    assert shown.dtype == np.bool_
    assert shown.shape == (placement.canvas, placement.canvas)
    back = placement.to_source(np.where(shown, 1.0, -1.0), -1.0)
    assert back.shape == mask.shape
    assert back.dtype == np.float32
    found = back > 0
    assert (found & mask).sum() / (found | mask).sum() > 0.8


@given(placements())
def test_nothing_is_drawn_outside_the_crop(placement: Placement) -> None:
    back = placement.to_source(np.full((16, 16), 3.0), -7.0)
    inside = box_to_mask(placement.crop, placement.source)
    np.testing.assert_allclose(back[inside], 3.0, rtol=1e-6)
    assert (back[~inside] == -7.0).all()


@given(placements())
def test_what_lies_beside_the_crop_is_not_shown(placement: Placement) -> None:
    picture = np.where(box_to_mask(placement.crop, placement.source), 1.0, 99.0)
    canvas = placement.to_canvas(picture)
    rows, columns = placement.shown
    assert canvas.dtype == np.float32
    np.testing.assert_allclose(canvas[:rows, :columns], 1.0, rtol=1e-6)
    assert not canvas[rows:].any()
    assert not canvas[:, columns:].any()
    assert max(rows, columns) == placement.canvas


@given(placements())
def test_labels_stay_labels(placement: Placement) -> None:
    labels = (np.indices(placement.source).sum(0) % 3 * 100).astype(np.uint8)
    shown = placement.to_canvas(labels, nearest=True)
    assert shown.dtype == np.uint8
    assert set(np.unique(shown)) <= {0, 100, 200}


@given(placements(), boxes())
def test_a_box_comes_back_where_it_was(placement: Placement, box: Box) -> None:
    there = placement.box_to_canvas(box)
    np.testing.assert_allclose(placement.box_to_source(there).corners, box.corners, atol=1e-6)
    whole = placement.box_to_canvas(placement.crop)
    rows, columns = placement.shown
    np.testing.assert_allclose(whole.corners, (0, 0, columns, rows), atol=1e-9)


def test_image_and_boxes_are_scaled_alike() -> None:
    placement = Placement.fit((100, 60), 64, Box(10.0, 20.0, 50.0, 100.0))
    box = Box(20.0, 40.0, 40.0, 70.0)
    found = mask_to_box(placement.to_canvas(box_to_mask(box, (100, 60))))
    assert found is not None
    np.testing.assert_allclose(found.corners, placement.box_to_canvas(box).corners, atol=1)


@pytest.mark.parametrize(
    "crop", [Box(-1.0, 0.0, 5.0, 5.0), Box(0.0, 0.0, 5.0, 11.0), Box(0.5, 0.0, 5.0, 5.0)]
)
def test_a_crop_has_whole_pixels_inside_the_image(crop: Box) -> None:
    with pytest.raises(ValueError, match="crop"):
        Placement.fit((10, 10), 64, crop)


def test_a_canvas_has_pixels() -> None:
    with pytest.raises(ValueError, match="canvas"):
        Placement.fit((10, 10), 0)
