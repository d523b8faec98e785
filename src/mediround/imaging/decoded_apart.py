"""Uploaded images and masks, decoded in a ``Sandbox``: what to ask of it, and what it does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mediround.geometry import BoolMask
from mediround.imaging.image import Image, Modality
from mediround.imaging.sandbox import Sandbox
from mediround.imaging.stored import read_stored, write_stored
from mediround.imaging.volume import Volume

UNPACKED = "files"
"""Folder with the members of a zip, beside the decoded values."""

_IMAGE, _MASK = f"{__name__}:image_task", f"{__name__}:mask_task"
_SENT, _DECODED = "mask.png", "mask.npy"


def decode_image(
    sandbox: Sandbox,
    upload: Path,
    folder: Path,
    *,
    modality: Modality | None = None,
    series: int | None = None,
) -> Image | Volume:
    """Decode ``upload`` apart into ``folder`` and read it from there.

    Args:
        sandbox: where it is decoded.
        upload: PNG, JPEG, TIFF, NIfTI, DICOM, or a zip of a DICOM series or of one of these.
            Its name is not used but in messages.
        folder: exists; gets the decoded values (``imaging.stored``).
        modality: overrides what the file says.
        series: 1-based choice where a zip holds several.

    Raises:
        ImageFileError: refused by its reader, or the decoder crashed, hung or ran out of memory.
        InputError: ``series`` for a single file.
    """
    order = {
        "upload": str(upload),
        "folder": str(folder),
        "modality": None if modality is None else modality.value,
        "series": series,
    }
    sandbox.run(_IMAGE, order, private=(folder, upload.parent))
    return read_stored(folder)


def decode_mask(sandbox: Sandbox, data: bytes) -> BoolMask:
    """Decode a picture of a mask apart; see ``raster.read_mask``.

    Raises:
        ImageFileError: as there, or the decoder crashed, hung or ran out of memory.
    """
    with tempfile.TemporaryDirectory(prefix="mediround-") as place:
        folder = Path(place)
        (folder / _SENT).write_bytes(data)
        sandbox.run(_MASK, {"folder": place}, private=(folder,))
        mask: BoolMask = np.load(folder / _DECODED, allow_pickle=False)
        return mask.astype(bool, copy=False)


def image_task(order: dict[str, Any]) -> None:
    """In the sandbox: decode one file as :func:`decode_image` orders."""
    from mediround.imaging.archive import MAGIC, unpack
    from mediround.imaging.inflation import check_inflation
    from mediround.imaging.opening import open_image

    upload, folder = Path(order["upload"]), Path(order["folder"])
    modality = None if order["modality"] is None else Modality(order["modality"])
    series = order["series"]
    with upload.open("rb") as file:
        zipped = file.read(len(MAGIC)) == MAGIC
    if not zipped:
        check_inflation(upload)
        write_stored(folder, open_image(upload, modality=modality, series=series))
        return
    # Kept: a DICOM segmentation is written with the headers of the images that it is about.
    inside = folder / UNPACKED
    inside.mkdir()
    files = unpack(upload, inside, most_bytes=order["limits"]["unpacked"])
    for member in files:
        check_inflation(member)
    alone = len(files) == 1
    opened = open_image(
        files[0] if alone else inside, modality=modality, series=None if alone else series
    )
    write_stored(folder, opened)


def mask_task(order: dict[str, Any]) -> None:
    """In the sandbox: decode one mask as :func:`decode_mask` orders."""
    from mediround.imaging.raster import read_mask

    folder = Path(order["folder"])
    np.save(folder / _DECODED, read_mask(folder / _SENT), allow_pickle=False)
