"""Pictures: windows, places of outlines, captions that stay apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mediround.errors import OutputError
from mediround.geometry import Box
from mediround.imaging import Edges, Image, Modality
from mediround.imaging.captions import deepest, place_captions
from mediround.imaging.overlay import (
    PALETTE,
    Layer,
    colour_of,
    display,
    draw,
    encode,
    interesting,
    write_picture,
)


def phantom() -> np.ndarray:
    """A body of 40 to 60 HU in air, float32 (128, 128)."""
    y, x = np.mgrid[:128, :128]
    tissue = np.random.default_rng(0).normal(50, 4, (128, 128))
    inside = ((x - 64) / 50) ** 2 + ((y - 64) / 40) ** 2 < 1
    return np.where(inside, tissue, -1000).astype(np.float32)


def square(left: int, top: int, side: int, shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def gray(value: int = 90, shape: tuple[int, int] = (64, 64)) -> Image:
    """A flat picture with a black first and a white last row, so that its range is fixed."""
    pixels = np.full(shape, value, dtype=np.uint8)
    pixels[0], pixels[-1] = 0, 255
    return Image(pixels=pixels)


def changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one.astype(int) != other).any(axis=2))


def test_hounsfield_units_are_shown_in_the_soft_tissue_window() -> None:
    pixels = np.array([[-160.0, 40.0, 240.0, 900.0]] * 8).repeat(2, axis=1)
    shown = display(Image(pixels=pixels, modality=Modality.CT, unit="HU"))
    assert shown[0, ::2, 0].tolist() == [0, 128, 255, 255]


def test_the_window_of_the_file_is_preferred() -> None:
    pixels = np.array([[-700.0, -600.0, 0.0]] * 8).repeat(3, axis=1)
    image = Image(pixels=pixels, modality=Modality.CT, unit="HU", window=(-600.0, 200.0))
    assert display(image)[0, ::3, 0].tolist() == [0, 128, 255]


def test_a_picture_of_raw_ct_is_calibrated_before_it_is_windowed() -> None:
    hu = phantom()
    hu[60:64, 60:64] = 1500  # bone, so that the full range is wide
    raw = np.rint((hu + 1000) / 2500 * 255).astype(np.uint8)
    tissue = (slice(50, 58), slice(50, 58))
    right = display(Image(pixels=hu, modality=Modality.CT, unit="HU"))[tissue].mean()
    found = display(Image(pixels=raw, modality=Modality.CT))[tissue].mean()
    assert abs(found - right) < 15


def test_other_gray_is_stretched_and_8_bit_colour_kept() -> None:
    ramp = np.linspace(3000, 3100, 64 * 64).reshape(64, 64)
    shown = display(Image(pixels=ramp, modality=Modality.MR))
    assert (shown.min(), shown.max()) == (0, 255)
    flat = display(Image(pixels=np.full((8, 8), 7)))
    assert np.unique(flat).size == 1
    colour = np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    assert (display(Image(pixels=colour)) == colour).all()


def test_colours_are_distinct_bright_and_repeat() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert all(max(colour) > 180 for colour in PALETTE)
    assert colour_of(1) == PALETTE[0]
    assert colour_of(len(PALETTE) + 1) == PALETTE[0]


def test_proportions_follow_the_spacing() -> None:
    flat = Image(pixels=np.zeros((64, 64)), spacing=(3.0, 1.0))
    assert draw(flat, []).shape == (1024, 341, 3)
    assert draw(gray(), []).shape == (1024, 1024, 3)
    assert draw(gray(), [], view=Box(0, 0, 64, 16)).shape == (256, 1024, 3)


@settings(max_examples=4, deadline=None)
@given(st.integers(6, 40), st.integers(6, 40), st.integers(3, 20))
def test_the_outline_lies_where_the_mask_is(left: int, top: int, side: int) -> None:
    mask = square(left, top, side)
    bare = draw(gray(), [])
    with_outline = draw(gray(), [Layer(3, mask, context=True)])
    # The line and its dark rim; a caption is gray or of the same colour but covers little.
    line = np.abs(with_outline.astype(int) - colour_of(3)).max(axis=2) < 40
    assert line.any()
    y, x = np.nonzero(line & changed(bare, with_outline))
    scale = 1024 / 64
    around = (x > (left - 1) * scale) & (x < (left + side + 1) * scale)
    around &= (y > (top - 1) * scale) & (y < (top + side + 1) * scale)
    # What is coloured elsewhere is the chip of the number and the line that leads to it.
    assert around.sum() > 4 * side * scale


def test_far_from_mask_and_caption_nothing_changes() -> None:
    bare, drawn = draw(gray(), []), draw(gray(), [Layer(1, square(8, 8, 12), "liver")])
    assert not changed(bare, drawn)[600:, 600:].any()
    assert changed(bare, drawn)[160:300, 160:300].all()


def test_doubt_and_context_look_different() -> None:
    mask = square(10, 10, 40)
    sure, unsure, context = (
        draw(gray(), [layer])[400:700, 200:700].astype(int)
        for layer in (Layer(1, mask), Layer(1, mask, unsure=True), Layer(1, mask, context=True))
    )
    assert np.unique(unsure[..., 0]).size > np.unique(sure[..., 0]).size
    assert (context == 90).mean() > 0.9
    assert (sure == 90).mean() < 0.1


def test_empty_and_hidden_masks_leave_no_trace_and_thin_ones_do() -> None:
    bare = draw(gray(), [])
    assert (draw(gray(), [Layer(1, np.zeros((64, 64), dtype=bool), "nothing")]) == bare).all()
    view = Box(32, 32, 64, 64)
    hidden = draw(gray(), [Layer(1, square(2, 2, 5))], view=view)
    assert (hidden == draw(gray(), [], view=view)).all()
    assert changed(bare, draw(gray(), [Layer(1, square(30, 30, 1))])).any()


def test_the_patient_s_sides_stand_at_the_edges() -> None:
    marked = Image(pixels=gray().pixels, directions=Edges("R", "L", "A", "P"))
    differs = changed(draw(gray(), []), draw(marked, []))
    for part in (differs[480:544, :40], differs[480:544, -40:], differs[:40, 480:544]):
        assert part.any()
    assert not differs[100:-100, 100:-100].any()


def test_the_interesting_part_is_the_body() -> None:
    box = interesting(Image(pixels=phantom(), modality=Modality.CT, unit="HU"))
    assert 5 < box.x0 < 15
    assert 113 < box.x1 < 122
    assert 15 < box.y0 < 25
    assert interesting(Image(pixels=np.zeros((16, 16)))).corners == (0, 0, 16, 16)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 180), st.integers(0, 130), st.integers(1, 60)),
        min_size=1,
        max_size=8,
    )
)
def test_captions_stay_inside_and_apart(squares: list[tuple[int, int, int]]) -> None:
    masks = [square(*each, shape=(150, 200)) for each in squares]
    taken = [Box(0, 65, 20, 85)]
    places = place_captions(masks, [((60, 12), (14, 12))] * len(masks), taken)
    boxes = [place.box for place in places] + taken
    for place in places:
        assert 0 <= place.box.x0 < place.box.x1 <= 200
        assert 0 <= place.box.y0 < place.box.y1 <= 150
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = one.x1 <= other.x0 or other.x1 <= one.x0
            assert apart or one.y1 <= other.y0 or other.y1 <= one.y0
    assert [place.anchor for place in places] == [deepest(mask) for mask in masks]


def test_crowded_captions_fall_back_to_their_numbers() -> None:
    masks = [square(5, 5, 20, shape=(40, 60))] * 4
    places = place_captions(masks, [((50, 12), (14, 12))] * 4)
    assert any(place.short for place in places)
    assert not all(place.short for place in places)


def test_a_caption_on_its_anchor_needs_no_line() -> None:
    (inside,) = place_captions([square(0, 0, 150, shape=(150, 200))], [((30, 12), (14, 12))])
    assert inside.leader is None
    (outside,) = place_captions([square(70, 70, 4, shape=(150, 200))], [((60, 12), (14, 12))])
    assert outside.leader is not None
    assert outside.leader[1] == outside.anchor


def test_long_names_are_cut_and_doubt_is_written() -> None:
    mask = square(0, 0, 4)
    assert Layer(1, mask, "x" * 80).caption == "x" * 35 + "…"
    assert Layer(1, mask, "nerve", unsure=True).caption == "nerve ?"
    assert Layer(1, mask, unsure=True).caption == "?"
    assert Layer(1, mask, "nerve", context=True).caption == ""


def test_pictures_are_written_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    write_picture(tmp_path / "a.png", pixels)
    with PillowImage.open(tmp_path / "a.png") as picture:
        assert (np.asarray(picture) == pixels).all()
    with PillowImage.open(io.BytesIO(encode(pixels, "JPEG"))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (12, 9))
    with pytest.raises(OutputError):
        write_picture(tmp_path / "none" / "a.png", pixels)
