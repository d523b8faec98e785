"""Boxes that people draw: what may be one, and what may become of it. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from mediround.errors import InputError
from mediround.geometry import Box

Fit = Literal["structure", "rectangle"]
"""What a box stands for: the structure that it encloses, or all of its pixels."""

SMALLEST = 2
"""Pixels of the image on each side of a box, below which no structure is looked for."""


def fits_of(*, takes_boxes: bool) -> tuple[Fit, ...]:
    """What boxes may stand for, with a model that does or does not find structures in them."""
    return ("structure", "rectangle") if takes_boxes else ("rectangle",)


def box_in_image(corners: Sequence[float], size: tuple[int, int]) -> Box:
    """The part of a box that lies in the image.

    Args:
        corners: (x0, y0, x1, y1) in pixels of the image, half-open; may reach beyond it.
        size: (H, W) of the image.

    Raises:
        InputError: not four finite numbers, empty, inverted, or wholly outside the image.
    """
    values = [float(each) for each in corners]
    if len(values) != 4 or not all(math.isfinite(each) for each in values):
        raise InputError(f"the box {values}", expected="four finite numbers: x0, y0, x1, y1")
    x0, y0, x1, y1 = values
    if not (x0 < x1 and y0 < y1):
        raise InputError(
            f"an empty or inverted box {values}", expected="x0 < x1 and y0 < y1, in pixels"
        )
    height, width = size
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise InputError(
            f"the box {values} lies outside the image",
            expected=f"x in 0..{width} and y in 0..{height}",
        )
    return Box(max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))


def check_holds_structure(box: Box) -> None:
    """Refuse a box that is too small to hold anything but its own pixels.

    Raises:
        InputError: less than :data:`SMALLEST` pixels wide or high.
    """
    if min(box.width, box.height) < SMALLEST:
        raise InputError(
            f"a box of {box.width:g} x {box.height:g} pixels",
            expected=f"at least {SMALLEST} x {SMALLEST} pixels round a structure",
            remedy="draw it larger, or take it as a rectangle",
        )
