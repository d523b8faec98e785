"""Open whatever a person points at: the content decides, not the name."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from mediround.errors import ImageFileError, InputError
from mediround.imaging.image import Image, Modality
from mediround.imaging.volume import Volume

_DICOM_AT, _DICOM = 128, b"DICM"
_RASTER = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 512
_KINDS = "PNG, JPEG, TIFF, NIfTI or DICOM"


def open_image(
    path: str | os.PathLike[str],
    *,
    modality: Modality | None = None,
    series: int | None = None,
) -> Image | Volume:
    """Open a picture, a NIfTI volume, a DICOM file, or the folder of a DICOM series.

    Args:
        path: a file or a folder.
        modality: how the image was made, overriding what the file says or its values suggest.
        series: 1-based choice for a folder that holds several DICOM series.

    Returns:
        An image from a picture, a DICOM file or a folder with one; a volume from NIfTI or a
        series.

    Raises:
        ImageFileError: nothing there, empty, of no known type, or refused by its reader.
        InputError: ``series`` for a file.
    """
    place = Path(path)
    try:
        if place.is_dir():
            # Readers are imported on use: pydicom and nibabel cost half a second together.
            from mediround.imaging.dicom_series import read_series

            return read_series(place, series=series, modality=modality)
        if series is not None:
            raise InputError(
                f"series {series} of the single file {str(path)!r}",
                expected="a folder",
                remedy="leave the series out",
            )
        head = _head(place)
    except OSError as error:
        raise ImageFileError(
            f"{str(path)!r} cannot be read ({error.strerror})",
            remedy="check its permissions",
        ) from error
    return _read_file(place, head, modality)


def _head(path: Path) -> bytes:
    if not path.exists():
        raise ImageFileError(
            f"no file {str(path)!r}", expected=f"{_KINDS}", remedy="check the path"
        )
    if not path.is_file():
        raise ImageFileError(f"{str(path)!r} is not a regular file", expected=_KINDS)
    with path.open("rb") as handle:
        head = handle.read(_HEAD_BYTES)
    if not head:
        raise ImageFileError(
            f"{str(path)!r} is empty", expected=_KINDS, remedy="copy or export it again"
        )
    return head


def _read_file(path: Path, head: bytes, modality: Modality | None) -> Image | Volume:
    # DICOM first: its preamble may legally hold a TIFF header.
    if head[_DICOM_AT : _DICOM_AT + 4] == _DICOM:
        from mediround.imaging.dicom import read_dicom

        return read_dicom(path, modality=modality)
    if head.startswith(_RASTER):
        from mediround.imaging.raster import read_raster

        return read_raster(path, modality=modality)
    from mediround.imaging.nifti import HEADER_BYTES, nifti_version, read_nifti

    unpacked = _inflated(path, HEADER_BYTES) if head.startswith(_GZIP) else head
    if nifti_version(unpacked) is not None:
        return read_nifti(path, modality=modality)
    raise ImageFileError(
        f"{str(path)!r} is of no known image type",
        expected=_KINDS,
        remedy="convert it, for instance to PNG or NIfTI",
    )


def _inflated(path: Path, size: int) -> bytes:
    """The first bytes of a gzip file once decompressed."""
    try:
        with gzip.open(path) as handle:
            return handle.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageFileError(
            f"{str(path)!r} is a damaged gzip file",
            expected="a complete .nii.gz",
            remedy="copy or export it again",
        ) from error
