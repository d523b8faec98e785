"""A two-dimensional medical image: pixels, and what is known of their meaning and place."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mediround.errors import ImageFileError

MIN_SIDE = 8
"""Smallest height or width of an image, in pixels."""
MAX_SIDE = 16_384
"""Largest height or width of an image, in pixels."""
MAX_PIXELS = 80_000_000
"""Largest height times width; below the size at which Pillow starts to warn of bombs."""


class Modality(StrEnum):
    """How an image was made, as coarsely as input normalisation needs to know."""

    CT = "CT"
    MR = "MR"
    US = "US"
    XR = "XR"
    ENDOSCOPY = "ENDOSCOPY"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class Edges(NamedTuple):
    """Which side of the patient each edge of an image shows: one of R, L, A, P, S, I."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Image:
    """A 2-D image in its stored pixel grid; valid once constructed, and read-only.

    Attributes:
        pixels: (H, W) or, for colour, (H, W, 3) RGB. Source values: CT in Hounsfield units
            where the file says how to rescale, otherwise whatever is stored. Any integer or
            floating type in native byte order; bool becomes uint8 0/1, float16 float32.
            The array is a private copy and refuses writing.
        modality: how the image was made.
        unit: "HU" for calibrated CT, otherwise None.
        spacing: (distance between rows, distance between columns) in millimetres, or None.
        directions: the patient side at each edge, or None where it is unknown.
        window: (centre, width) in the values of ``pixels`` that the file suggests for display,
            or None.

    Raises:
        ImageFileError: not 2-D or (H, W, 3), a side outside 8..16384, too many pixels, a
            non-numeric type, a value that is not finite, a spacing that is not positive.
    """

    pixels: NDArray[Any]
    modality: Modality = Modality.UNKNOWN
    unit: str | None = None
    spacing: tuple[float, float] | None = None
    directions: Edges | None = None
    window: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        array = np.asarray(self.pixels)
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
            raise ImageFileError(
                f"an array of shape {array.shape}",
                expected="a gray image (H, W) or a colour image (H, W, 3)",
            )
        check_size(array.shape[0], array.shape[1])
        owned = np.array(numeric(array), order="C", copy=True)
        check_finite(owned)
        owned.flags.writeable = False
        object.__setattr__(self, "pixels", owned)
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _checked_spacing(self.spacing))

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        modality: Modality = Modality.UNKNOWN,
        unit: str | None = None,
        spacing: tuple[float, float] | None = None,
    ) -> Image:
        """An image from (H, W) or (H, W, 3) numbers; colour with equal channels becomes gray.

        Raises:
            ImageFileError: see the class.
        """
        pixels = gray_if_equal(np.asarray(array))
        return cls(pixels=pixels, modality=modality, unit=unit, spacing=spacing)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels: the shape of a mask of this image."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, in hexadecimal, of the pixels' type, shape and values.

        The same pixels give the same hash on every machine, whatever its byte order.
        """
        little = self.pixels.astype(self.pixels.dtype.newbyteorder("<"), copy=False)
        digest = hashlib.sha256(f"{little.dtype.str} {little.shape}".encode())
        digest.update(little.tobytes())
        return digest.hexdigest()


def check_size(height: int, width: int) -> None:
    """Refuse a size outside the limits; readers call this on a header, before they decode.

    Raises:
        ImageFileError: a side outside 8..16384 pixels or more than 80 megapixels.
    """
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise ImageFileError(
            f"an image of {width} x {height} pixels (width x height)",
            expected=f"{MIN_SIDE} to {MAX_SIDE} pixels a side",
            remedy="crop or resize it",
        )
    if height * width > MAX_PIXELS:
        raise ImageFileError(
            f"an image of {width} x {height} pixels (width x height)",
            expected=f"at most {MAX_PIXELS // 1_000_000} megapixels",
            remedy="crop or resize it",
        )


def numeric(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in native byte order; bool as uint8 0/1, float16 as float32.

    Raises:
        ImageFileError: the values are not real numbers.
    """
    if array.dtype.kind not in "biuf":
        raise ImageFileError(
            f"values of type {array.dtype}", expected="integers or floating-point numbers"
        )
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(array: NDArray[Any]) -> None:
    """Refuse NaN and infinities. ``array`` holds at least one number.

    Raises:
        ImageFileError: a value is not finite.
    """
    if array.dtype.kind != "f":
        return
    # A NaN propagates into both extremes, so no boolean copy of a large volume is needed.
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageFileError(
            "values that are not finite (NaN or infinity)",
            expected="finite numbers",
            remedy="replace them, for instance by the background value",
        )


def gray_if_equal(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W) where the three channels of (H, W, 3) hold the same values, else the input."""
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        return pixels
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return red if np.array_equal(red, green) and np.array_equal(red, blue) else pixels


def _checked_spacing(spacing: tuple[float, float]) -> tuple[float, float]:
    values = tuple(float(value) for value in spacing)
    if len(values) != 2 or not all(math.isfinite(value) and value > 0 for value in values):
        raise ImageFileError(
            f"a pixel spacing of {values} mm",
            expected="two positive numbers (between rows, between columns)",
        )
    return values[0], values[1]
