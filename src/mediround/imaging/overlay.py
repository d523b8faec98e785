"""Pictures for people: an image in a sensible window, its masks outlined, numbered and named.

For looking at, not for measuring: enlarged, with square pixels. Masks are written in the pixels
of their source elsewhere (``raster``, ``nifti``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from mediround.geometry import BoolMask, Box, mask_to_box
from mediround.imaging.captions import Place, place_captions
from mediround.imaging.image import Image
from mediround.imaging.normalise import BODY_HU, body, content, hounsfield
from mediround.imaging.output import replacing

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 190, 140),
    (240, 228, 66),
    (222, 130, 185),
    (235, 100, 30),
    (120, 140, 255),
)
"""Okabe and Ito's colours for all kinds of colour vision (Color Universal Design, 2008), the dark
ones lightened so that they stand out from tissue."""

SOFT_TISSUE = (40.0, 400.0)
"""Centre and width in HU of the window for CT that names none."""

_PERCENTILES = (0.5, 99.8)
_LONG_SIDE = 1024
_FILL, _STRIPE = 0.26, 0.5
_INK: Colour = (16, 18, 22)
_PALE: Colour = (238, 240, 243)
_LONGEST_NAME = 36


@dataclass(frozen=True, eq=False)
class Layer:
    """A mask to be shown.

    Attributes:
        number: written on it, and choosing its colour.
        mask: bool (H, W) in the pixels of the image.
        name: written beside the number; "" for none.
        unsure: filled with stripes, its name followed by a question mark.
        context: only a thin outline and the number: something from an earlier round.
    """

    number: int
    mask: BoolMask
    name: str = ""
    unsure: bool = False
    context: bool = False

    @property
    def caption(self) -> str:
        """The writing beside the number."""
        long = len(self.name) > _LONGEST_NAME
        name = "" if self.context else self.name[: _LONGEST_NAME - 1] + "…" if long else self.name
        return f"{name} ?".strip() if self.unsure and not self.context else name


def colour_of(number: int) -> Colour:
    """The colour of entity ``number`` (from 1) everywhere: pictures, terminal, report."""
    return PALETTE[(number - 1) % len(PALETTE)]


def display(image: Image) -> Pixels:
    """``image`` as people look at it, uint8 (H, W, 3).

    The window that the file names; else soft tissue for CT, calibrated or recognised; else the
    range of the values without the outermost. 8-bit colour stays as it is.
    """
    stored = image.pixels
    if stored.ndim == 3 and stored.dtype == np.uint8:
        return np.array(stored, dtype=np.uint8)
    values = stored.astype(np.float32)
    calibrated = None if stored.ndim == 3 else hounsfield(image, values)
    if image.window is not None:
        low, high = _limits(image.window)
    elif calibrated is not None:
        values, (low, high) = calibrated, _limits(SOFT_TISSUE)
    else:
        low, high = (float(p) for p in np.percentile(values, _PERCENTILES))
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    if scaled.ndim == 2:
        scaled = np.repeat(scaled[..., None], 3, axis=2)
    shown: Pixels = np.rint(scaled * 255).astype(np.uint8)
    return shown


def interesting(image: Image) -> Box:
    """The part of ``image`` with the patient in it, a little margin around."""
    gray = image.pixels.astype(np.float32)
    gray = gray.mean(axis=2) if gray.ndim == 3 else gray
    calibrated = hounsfield(image, gray) if image.pixels.ndim == 2 else None
    found = content(gray) if calibrated is None else body(calibrated > BODY_HU)
    box = mask_to_box(found)
    assert box is not None  # both fall back to everything
    return box.padded(0.03, image.size)


def draw(image: Image, layers: Sequence[Layer], *, view: Box | None = None) -> Pixels:
    """``image`` with ``layers`` on it.

    Args:
        image: any; with a known spacing its proportions are corrected.
        layers: in any order; empty masks, and masks outside ``view``, leave no trace.
        view: whole-pixel part of the image to show; all of it by default.

    Returns:
        uint8 (height, width, 3), the longer side 1024 pixels.
    """
    shown = view or Box(0.0, 0.0, float(image.size[1]), float(image.size[0]))
    size = _size(image, shown)
    picture = PillowImage.fromarray(display(image)[shown.slices()])
    canvas = np.asarray(picture.resize(size, PillowImage.Resampling.BICUBIC)).astype(np.float32)
    fields = [(layer, _field(layer.mask[shown.slices()], size)) for layer in layers]
    visible = [(layer, field) for layer, field in fields if (field > 0.5).any()]
    for layer, field in sorted(visible, key=lambda item: -float(item[1].sum())):
        _paint(canvas, layer, field)
    painted = PillowImage.fromarray(np.rint(canvas).astype(np.uint8))
    pen = ImageDraw.Draw(painted, "RGBA")
    taken = _write_directions(pen, image, size)
    writings = [_Writing.of(layer) for layer, _ in visible]
    masks = [field > 0.5 for _, field in visible]
    places = place_captions(masks, [each.sizes for each in writings], taken)
    for each, place in zip(writings, places, strict=True):
        each.point(pen, place)
    for each, place in zip(writings, places, strict=True):
        each.write(pen, place)
    return np.asarray(painted)


def encode(pixels: Pixels, kind: str = "PNG") -> bytes:
    """``pixels`` (H, W, 3) as the bytes of a PNG or, with ``kind`` "JPEG", a JPEG file."""
    memory = io.BytesIO()
    options: dict[str, Any] = {"quality": 88, "subsampling": 0} if kind == "JPEG" else {}
    PillowImage.fromarray(pixels).save(memory, format=kind, **options)
    return memory.getvalue()


def write_picture(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Write ``pixels`` (H, W, 3) as PNG; the file appears whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as handle:
        handle.write(encode(pixels))


def _limits(window: tuple[float, float]) -> tuple[float, float]:
    centre, width = window
    return centre - width / 2, centre + width / 2


def _size(image: Image, shown: Box) -> tuple[int, int]:
    """(width, height) of the picture: square pixels, the longer side ``_LONG_SIDE``."""
    row, column = image.spacing or (1.0, 1.0)
    height, width = shown.height * row, shown.width * column
    scale = _LONG_SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _field(mask: BoolMask, size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask on the picture, 0..1; its outline at 0.5 runs smoothly between the pixels."""
    plain = mask.astype(np.float32)
    smooth = ndimage.gaussian_filter(plain, 0.7, truncate=3)
    # What is too thin to survive smoothing is shown as it is.
    picture = PillowImage.fromarray(smooth if (smooth > 0.5).any() else plain)
    return np.asarray(picture.resize(size, PillowImage.Resampling.BICUBIC))


def _paint(canvas: NDArray[np.float32], layer: Layer, field: NDArray[np.float32]) -> None:
    """Fill and outline one layer on ``canvas`` (H, W, 3), in place."""
    box = mask_to_box(field > 0.5)
    assert box is not None  # invisible layers are left out before
    rows, columns = box.padded(12 / max(box.width, box.height), field.shape).slices()
    inside = field[rows, columns] > 0.5
    # Signed distance from the outline in pixels of the picture, positive inside.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~inside)
    distance = ndimage.gaussian_filter(np.where(inside, depth - 0.5, 0.5 - away), 0.8)
    half = 0.8 if layer.context else 1.5
    line = np.clip(half + 0.5 - np.abs(distance), 0, 1)
    halo = 0.55 * np.clip(half + 2.0 - np.abs(distance), 0, 1)
    fill = np.zeros_like(line) if layer.context else np.where(inside, _FILL, 0.0)
    if layer.unsure and not layer.context:
        y, x = np.mgrid[rows, columns]
        fill = np.where(inside & ((x + y) // 7 % 2 == 0), _STRIPE, fill * 0.3)
    part = canvas[rows, columns]
    colour = np.array(colour_of(layer.number), dtype=np.float32)
    for share, paint in ((fill, colour), (halo, np.array(_INK, np.float32)), (line, colour)):
        part += share[..., None].astype(np.float32) * (paint - part)


@dataclass(frozen=True)
class _Writing:
    """A number on a coloured chip, and a name beside it."""

    number: str
    name: str
    colour: Colour
    small: bool

    @classmethod
    def of(cls, layer: Layer) -> _Writing:
        return cls(str(layer.number), layer.caption, colour_of(layer.number), layer.context)

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        return _font(17 if self.small else 23)

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(width, height) with the name, and without."""
        short = (self._chip, self._height)
        if not self.name:
            return short, short
        return (self._chip + round(self.font.getlength(self.name)) + 18, self._height), short

    @property
    def _height(self) -> int:
        return round(self.font.size * 1.5)

    @property
    def _chip(self) -> int:
        return max(self._height, round(self.font.getlength(self.number)) + 14)

    def point(self, pen: ImageDraw.ImageDraw, place: Place) -> None:
        if place.leader is not None:
            start, (x, y) = place.leader
            pen.line([start, (x, y)], fill=(*_INK, 150), width=4)
            pen.line([start, (x, y)], fill=self.colour, width=2)
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=self.colour)

    def write(self, pen: ImageDraw.ImageDraw, place: Place) -> None:
        x0, y0, x1, y1 = place.box.corners
        radius, middle = self._height / 3, (y0 + y1) / 2
        pen.rounded_rectangle([x0, y0, x1 - 1, y1 - 1], radius, fill=(*_INK, 215))
        chip = x0 + self._chip
        pen.rounded_rectangle([x0, y0, chip - 1, y1 - 1], radius, fill=self.colour)
        pen.text(((x0 + chip) / 2, middle), self.number, _INK, self.font, anchor="mm")
        if self.name and not place.short:
            pen.text((chip + 8, middle), self.name, _PALE, self.font, anchor="lm")


def _write_directions(pen: ImageDraw.ImageDraw, image: Image, size: tuple[int, int]) -> list[Box]:
    """The patient's sides at the picture's edges; returns where they stand."""
    if image.directions is None:
        return []
    (width, height), font, gap = size, _font(22), 18
    spots = {
        image.directions.left: (gap, height // 2),
        image.directions.right: (width - gap, height // 2),
        image.directions.top: (width // 2, gap),
        image.directions.bottom: (width // 2, height - gap),
    }
    for letter, spot in spots.items():
        pen.text(spot, letter, _PALE, font, anchor="mm", stroke_width=3, stroke_fill=_INK)
    return [Box(x - gap, y - gap, x + gap, y + gap) for x, y in spots.values()]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which comes with matplotlib; found without importing it."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), size)
