"""Pixels as the bytes of a PNG, and back: lossless, 8 or 16 bits, without metadata."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.errors import ImageFileError
from mediround.imaging.image import check_size
from mediround.imaging.untrusted import decoding

_LEVEL = 4  # as small as 6, and twice as fast


def encode_png(pixels: NDArray[Any]) -> bytes:
    """A PNG of ``pixels``: (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB.

    The same pixels give the same bytes.

    Raises:
        ImageFileError: another shape or type.
    """
    gray = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not (gray or colour):
        raise ImageFileError(
            f"an array of shape {pixels.shape} and type {pixels.dtype}",
            expected="gray uint8 or uint16, or RGB uint8",
        )
    out = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(pixels)).save(
        out, format="PNG", compress_level=_LEVEL
    )
    return out.getvalue()


def decode_png(data: bytes, name: str) -> NDArray[Any]:
    """Inverse of :func:`encode_png`.

    Args:
        data: the file.
        name: what error messages call it.

    Raises:
        ImageFileError: not a PNG, damaged, too large, or neither gray nor RGB.
    """
    with (
        decoding(name, "PNG"),
        PillowImage.open(io.BytesIO(data), formats=("PNG",)) as picture,
    ):
        check_size(picture.height, picture.width)
        if picture.mode not in ("L", "I;16", "RGB"):
            raise ImageFileError(f"{name!r} has the colour space {picture.mode}", expected="gray")
        picture.load()
        return np.asarray(picture)
