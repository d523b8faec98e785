"""Slices for looking at: as pictures in a window, and as values for a viewer of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from mediround.errors import InputError
from mediround.imaging import Image, Plane, Volume
from mediround.imaging.normalise import hounsfield
from mediround.imaging.overlay import SOFT_TISSUE, Pixels, display, encode

_PERCENTILES = (0.5, 99.8)
_SENT = ("uint8", "int16", "uint16", "int32", "uint32", "float32")


@dataclass(frozen=True)
class Values:
    """Stored values on the wire: little endian, C order."""

    data: bytes
    dtype: str
    shape: tuple[int, ...]
    window: tuple[float, float]


def choose(opened: Image | Volume, index: int | None, plane: Plane | None) -> Image:
    """The slice that is meant: by default the middle one of the native plane.

    Raises:
        InputError: no such plane or slice.
    """
    if isinstance(opened, Image):
        if index not in (None, 0) or plane is not None:
            raise InputError("a slice of a single image", expected="a volume")
        return opened
    cut = plane or opened.native_plane
    return opened.slice(opened.count(cut) // 2 if index is None else index, cut)


def default_window(image: Image) -> tuple[float, float]:
    """(centre, width) in the stored values with which people look at ``image``."""
    if image.window is not None:
        return image.window
    if image.pixels.ndim == 3 and image.pixels.dtype == np.uint8:
        return 127.5, 255.0
    gray = image.pixels.astype(np.float32)
    calibrated = hounsfield(image, gray) if image.pixels.ndim == 2 else None
    if calibrated is None:
        low, high = (float(p) for p in np.percentile(gray, _PERCENTILES))
        return (low + high) / 2, max(high - low, 1e-6)
    # Calibration is linear: two points give it.
    low, high = float(gray.min()), float(gray.max())
    slope = (float(calibrated.max()) - float(calibrated.min())) / max(high - low, 1e-6)
    centre, width = SOFT_TISSUE
    return low + (centre - float(calibrated.min())) / slope, width / slope


def values(image: Image) -> Values:
    """The stored values of ``image``; float64 becomes float32, long integers int32."""
    pixels = image.pixels
    if pixels.dtype.name not in _SENT:
        kind = "float32" if pixels.dtype.kind == "f" else "int16"
        if kind == "int16" and not (pixels.min() >= -(2**15) and pixels.max() < 2**15):
            kind = "float32"
        pixels = pixels.astype(kind)
    name = pixels.dtype.name
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    return Values(data, name, pixels.shape, default_window(image))


def picture(
    image: Image,
    *,
    window: tuple[float, float] | None = None,
    marks: bool = False,
    longest: int | None = None,
) -> bytes:
    """``image`` as a PNG of 8 bits.

    Args:
        image: what to show.
        window: (centre, width) in stored values.
        marks: letters of the patient's sides on the edges, where they are known.
        longest: longer side in pixels, with square pixels; by default the image's own pixels.
    """
    shown = display(image) if window is None else _windowed(image, window)
    drawn = PillowImage.fromarray(shown)
    if longest is not None:
        rows, columns = image.spacing or (1.0, 1.0)
        height, width = image.size[0] * rows, image.size[1] * columns
        scale = longest / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        drawn = drawn.resize(size, PillowImage.Resampling.BILINEAR)
    if marks and image.directions is not None:
        _write_marks(drawn, image.directions._asdict())
    return encode(np.asarray(drawn))


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask as a gray PNG of 0 and 255."""
    from mediround.imaging.png import encode_png

    return encode_png(mask.astype(np.uint8) * np.uint8(255))


def _windowed(image: Image, window: tuple[float, float]) -> Pixels:
    centre, width = window
    scaled = (image.pixels.astype(np.float64) - (centre - width / 2)) / max(width, 1e-6)
    shown: Pixels = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)


def _write_marks(drawn: PillowImage.Image, sides: dict[str, str]) -> None:
    width, height = drawn.size
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size=max(10, min(width, height) // 24))
    anchors = {
        "left": ((4, height / 2), "lm"),
        "right": ((width - 4, height / 2), "rm"),
        "top": ((width / 2, 4), "mt"),
        "bottom": ((width / 2, height - 4), "mb"),
    }
    for side, (place, anchor) in anchors.items():
        pen.text(
            place,
            sides[side],
            font=font,
            anchor=anchor,
            fill="white",
            stroke_width=2,
            stroke_fill="black",
        )
