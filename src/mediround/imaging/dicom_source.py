"""The DICOM images that a mask was drawn on: their whole headers, and where one image lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from mediround.errors import ImageFileError
from mediround.imaging.dicom_header import (
    KIND,
    check_image,
    cosines_of,
    numbers,
    read_header,
    read_tags,
    spacing_of,
)
from mediround.imaging.dicom_series import is_dicom, series_files
from mediround.imaging.untrusted import decoding

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_THICKNESS_TAGS = ["SpacingBetweenSlices", "SliceThickness"]


def source_files(path: Path) -> list[Path]:
    """The DICOM file, or the files of the series in the folder, in the order of the volume.

    Raises:
        ImageFileError: not DICOM, or no series (see ``read_series``).
    """
    if path.is_dir():
        return series_files(path)
    if not path.is_file():
        raise ImageFileError(f"no file {path.name!r}", remedy="check the path")
    if not is_dicom(path):
        raise ImageFileError(
            f"{path.name!r} is not DICOM",
            expected="the DICOM file or series that was opened",
            remedy="export nifti or png instead",
        )
    return [path]


def read_whole_header(path: Path) -> Dataset:
    """Everything but the pixels, the patient included: what an object about this image repeats.

    Nothing of it may be logged or shown.

    Raises:
        ImageFileError: see ``read_header`` and ``check_image``.
    """
    check_image(read_header(path), path.name)
    with decoding(path.name, KIND):
        dataset = dcmread(path, stop_before_pixels=True)
        for _ in dataset.iterall():
            pass
    return dataset


def affine_of(path: Path) -> NDArray[np.float64] | None:
    """Where a single image lies: (column, row, 0) to RAS+ millimetres; None where it is unknown.

    The third step is the distance to the next slice, else the slice's thickness, else 1 mm.

    Raises:
        ImageFileError: see ``read_header``.
    """
    header = read_header(path)
    cosines, spacing = cosines_of(header), spacing_of(header)
    position = numbers(header, "ImagePositionPatient", 3)
    if cosines is None or spacing is None or position is None:
        return None
    thickness = read_tags(path, _THICKNESS_TAGS, pixels=False)
    steps = [numbers(thickness, keyword, 1) for keyword in _THICKNESS_TAGS]
    known = [step[0] for step in steps if step is not None and step[0] > 0]
    affine = np.eye(4)
    affine[:3, 0] = cosines[0] * spacing[1]
    affine[:3, 1] = cosines[1] * spacing[0]
    affine[:3, 2] = np.cross(cosines[0], cosines[1]) * (known[0] if known else 1.0)
    affine[:3, 3] = position
    matrix: NDArray[np.float64] = _LPS_TO_RAS @ affine
    return matrix
