"""One DICOM image: encoded pixels to source values."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from mediround.errors import ImageFileError, InputError
from mediround.imaging.codestream import check_codestream
from mediround.imaging.dicom_header import (
    KIND,
    directions_of,
    modality_of,
    numbers,
    read_with_pixels,
    spacing_of,
)
from mediround.imaging.image import Image, Modality, gray_if_equal
from mediround.imaging.rescale import rescale
from mediround.imaging.untrusted import decoding

_log = logging.getLogger(__name__)

_GRAY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")


class Frame(NamedTuple):
    """Decoded pixels, (H, W) or (H, W, 3), with their unit and suggested display window."""

    pixels: NDArray[Any]
    unit: str | None
    window: tuple[float, float] | None


def read_dicom(
    path: str | os.PathLike[str], *, modality: Modality | None = None, frame: int = 0
) -> Image:
    """Read one DICOM file as a 2-D image in its stored pixel grid.

    Gray values are rescaled (Hounsfield units for CT); MONOCHROME1 is inverted, so that larger
    is always brighter; colour of any kind becomes RGB. Of a film (plain multi-frame, such as
    ultrasound) one frame is read.

    Args:
        path: the file.
        modality: overrides the Modality tag.
        frame: 0-based, for multi-frame files.

    Raises:
        ImageFileError: not DICOM, damaged, no pixels, a deflated transfer syntax, DICOMDIR,
            an enhanced multi-frame object, outside the size limits.
        InputError: no such frame.
    """
    file = Path(path)
    dataset = read_with_pixels(file)
    found = modality or modality_of(dataset)
    decoded = decode(dataset, file.name, modality=found, frame=frame)
    return Image(
        pixels=decoded.pixels,
        modality=found,
        unit=decoded.unit,
        spacing=spacing_of(dataset),
        directions=directions_of(dataset),
        window=decoded.window,
    )


def decode(dataset: Dataset, name: str, *, modality: Modality, frame: int = 0) -> Frame:
    """Decode one frame of a dataset from ``read_with_pixels``.

    Args:
        dataset: header and encoded pixels.
        name: the file, for messages.
        modality: decides whether rescaled values are Hounsfield units.
        frame: 0-based.

    Raises:
        ImageFileError: no pixel data, damaged, or an unknown photometric interpretation.
        InputError: no such frame.
    """
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip()
    if photometric not in (*_GRAY, _PALETTE, *_COLOUR):
        raise ImageFileError(
            f"{name!r} has the photometric interpretation {photometric or 'none'!r}",
            expected="MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR",
            remedy="convert it to RGB",
        )
    stored = _stored(dataset, name, frame)
    if photometric in _GRAY:
        if stored.ndim != 2:
            raise ImageFileError(
                f"{name!r} is {photometric} with several samples a pixel", expected="one sample"
            )
        inverted = photometric == "MONOCHROME1"
        return _gray(dataset, stored, name, modality=modality, inverted=inverted)
    if photometric == _PALETTE:
        with decoding(name, KIND):
            stored = apply_color_lut(stored, dataset)[..., :3]
        # Palettes of 16 bits describe 8-bit displays in their upper byte.
        if stored.dtype.itemsize == 2:
            stored = (stored >> 8).astype(np.uint8)
    return Frame(gray_if_equal(stored), None, None)


def _stored(dataset: Dataset, name: str, frame: int) -> NDArray[Any]:
    """Stored values of one frame: (H, W), or (H, W, 3) RGB."""
    if not any(key in dataset for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageFileError(
            f"{name!r} is a DICOM object without pixels",
            expected="a DICOM image",
            remedy="choose the image that it belongs to",
        )
    with decoding(name, KIND):
        frames = int(dataset.get("NumberOfFrames") or 1)
    if not 0 <= frame < frames:
        raise InputError(f"frame {frame} of {name!r}", expected=f"0 to {frames - 1}")
    if frames > 1:
        _log.info("reading frame %d of %d", frame + 1, frames)
    with decoding(name, KIND):
        check_codestream(dataset, frame, frames)
        # The compiled RLE decoder panics on damaged files, past every ``except Exception``.
        plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == RLELossless else ""
        array = pixel_array(dataset, index=frame, decoding_plugin=plugin)
        expected = (int(dataset.Rows), int(dataset.Columns))
    if array.shape[:2] != expected:
        raise ImageFileError(
            f"{name!r} decodes to {array.shape[:2]}", expected=f"{expected} as its header says"
        )
    return np.asarray(array)


def _gray(
    dataset: Dataset, stored: NDArray[Any], name: str, *, modality: Modality, inverted: bool
) -> Frame:
    slope = (numbers(dataset, "RescaleSlope", 1) or (None,))[0]
    intercept = (numbers(dataset, "RescaleIntercept", 1) or (None,))[0]
    calibrated = slope is not None and intercept is not None
    named_unit = str(dataset.get("RescaleType") or "HU").strip()
    unit = "HU" if modality is Modality.CT and calibrated and named_unit == "HU" else None
    window = _window(dataset)
    if "ModalityLUTSequence" in dataset:
        with decoding(name, KIND):
            values = np.asarray(apply_modality_lut(stored, dataset))
        return (
            _inverted(values, int(values.max()) + int(values.min()), window)
            if inverted
            else (Frame(values, None, window))
        )
    values = rescale(stored, slope or 1.0, intercept or 0.0)
    # Inverting would take the meaning from Hounsfield units; there it concerns display alone.
    if not inverted or unit == "HU":
        return Frame(values, unit, window)
    low, high = _stored_range(dataset, stored)
    ends = rescale(np.array([low, high], dtype=np.int64), slope or 1.0, intercept or 0.0)
    return _inverted(values, float(ends[0]) + float(ends[1]), window)


def _inverted(values: NDArray[Any], total: float, window: tuple[float, float] | None) -> Frame:
    """``total - values`` in the same type; the window moves along."""
    wide = total - values.astype(np.float64)
    centred = None if window is None else (total - window[0], window[1])
    return Frame(wide.astype(values.dtype), None, centred)


def _stored_range(dataset: Dataset, stored: NDArray[Any]) -> tuple[int, int]:
    """Smallest and largest value that the stored bits can hold."""
    if stored.dtype.kind == "f":
        return int(stored.min()), int(stored.max())
    bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
    if stored.dtype.kind == "u":
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """The first (centre, width) of the file, or None; a width must be positive."""
    centre, width = numbers(dataset, "WindowCenter", 1), numbers(dataset, "WindowWidth", 1)
    if centre is None or width is None or width[0] <= 0:
        return None
    return centre[0], width[0]
