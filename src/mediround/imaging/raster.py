"""PNG, JPEG and TIFF: 2-D images without patient geometry, and masks as PNG.

Pixels stay in the stored grid: an EXIF orientation is not applied, so that a mask fits the file.
A palette becomes RGB, 1-bit becomes 0/255, an alpha channel is composited onto black, and RGB
with three equal channels becomes gray. Gray keeps its depth (8, 16, 32 bits, floating point);
the decoder reduces colour of 16 bits a channel to 8.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, InputError
from mediround.imaging.image import Image, Modality, check_size, gray_if_equal
from mediround.imaging.output import replacing
from mediround.imaging.untrusted import decoding

# Pillow decodes some fifty formats; each further one is surface for hostile files.
_FORMATS = ("PNG", "JPEG", "TIFF")
_KIND = "PNG, JPEG or TIFF"
_GRAY_MODES = ("L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ALPHA_MODES = ("LA", "PA", "RGBA", "La", "RGBa")
_COLOUR_MODES = ("RGB", "RGBX", "P", "CMYK", "YCbCr")


def read_raster(path: str | os.PathLike[str], *, modality: Modality | None = None) -> Image:
    """Read one PNG, JPEG or TIFF file of a single page.

    Args:
        path: the file.
        modality: how it was made; the file does not say, so None means ``UNKNOWN``.

    Raises:
        ImageFileError: not one of the three formats, truncated or damaged, several pages,
            outside the size limits, or a colour space other than gray, RGB, palette, CMYK.
    """
    return Image(pixels=_pixels(Path(path)), modality=modality or Modality.UNKNOWN)


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a mask file: background 0, foreground any one other value.

    Returns:
        (H, W) bool.

    Raises:
        ImageFileError: see ``read_raster``; also colour, or more than two values.
    """
    pixels = _pixels(Path(path))
    values = np.unique(pixels) if pixels.ndim == 2 else None
    if values is None or np.count_nonzero(values) > 1:
        what = "colour" if values is None else f"{values.size} different values"
        raise ImageFileError(
            f"{Path(path).name!r} holds {what}",
            expected="a mask: 0 and one other gray value",
            remedy="save one structure a file, as PNG",
        )
    return np.ascontiguousarray(pixels != 0)


def write_mask_png(path: str | os.PathLike[str], mask: NDArray[np.bool_]) -> None:
    """Write a mask as an 8-bit gray PNG of 0 and 255; the file appears whole or not at all.

    Args:
        path: the file to write or replace.
        mask: (H, W) bool, both sides at least 1.

    Raises:
        InputError: the mask is not a 2-D bool array.
        OutputError: the file cannot be written.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise InputError(
            f"a mask of shape {mask.shape} and type {mask.dtype}", expected="a bool mask (H, W)"
        )
    picture = PillowImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    with replacing(path) as handle:
        picture.save(handle, format="PNG")


def _pixels(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, 3), decoded only once the header has passed the limits."""
    with decoding(path.name, _KIND), path.open("rb") as handle:
        try:
            picture = PillowImage.open(handle, formats=_FORMATS)
        except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning):
            raise ImageFileError(
                f"{path.name!r} has more pixels than can be opened",
                expected="at most 80 megapixels",
                remedy="crop or resize it",
            ) from None
        with picture:
            check_size(picture.height, picture.width)
            _check_single_page(picture, path.name)
            picture.load()
            return _as_array(picture, path.name)


def _check_single_page(picture: PillowImage.Image, name: str) -> None:
    # Asking for the number of pages would walk a chain of any length; the second one is enough.
    if picture.format not in ("TIFF", "PNG"):
        return
    try:
        picture.seek(1)
    except EOFError:
        picture.seek(0)
        return
    raise ImageFileError(
        f"{name!r} has several pages or frames",
        expected="one image",
        remedy="save one page as its own file, or convert the stack to NIfTI",
    )


def _as_array(picture: PillowImage.Image, name: str) -> NDArray[Any]:
    mode = picture.mode
    if mode == "1":
        return np.asarray(picture.convert("L"))
    if mode in _GRAY_MODES:
        return np.asarray(picture)
    if mode in _ALPHA_MODES or (mode in _COLOUR_MODES and "transparency" in picture.info):
        colour = picture.convert("RGBA")
        black = PillowImage.new("RGBA", colour.size, (0, 0, 0, 255))
        return gray_if_equal(np.asarray(PillowImage.alpha_composite(black, colour))[..., :3])
    if mode in _COLOUR_MODES:
        return gray_if_equal(np.asarray(picture.convert("RGB")))
    raise ImageFileError(
        f"{name!r} has the colour space {mode}",
        expected="gray, RGB or a palette",
        remedy="convert it to RGB",
    )
