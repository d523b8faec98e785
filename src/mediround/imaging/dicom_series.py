"""A folder of DICOM files: one series as a volume in the patient."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from mediround.errors import ImageFileError
from mediround.imaging.dicom import decode, read_dicom
from mediround.imaging.dicom_header import (
    check_image,
    cosines_of,
    modality_of,
    numbers,
    read_header,
    read_with_pixels,
    spacing_of,
)
from mediround.imaging.image import Image, Modality
from mediround.imaging.volume import Volume, check_volume_shape

MAX_FILES = 20_000
"""Most files that a folder may hold, subfolders included."""

_MAGIC_AT, _MAGIC = 128, b"DICM"
# Positions are decimal strings of at most 16 characters: rounding is smaller, a gap far larger.
_STEP_TOLERANCE = 0.05
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class _Slice(NamedTuple):
    path: Path
    header: Dataset


class _Ordered(NamedTuple):
    """Slices along their normal, with their positions, directions and spacing (LPS, mm)."""

    slices: list[_Slice]
    positions: NDArray[np.float64]
    cosines: tuple[NDArray[np.float64], NDArray[np.float64]]
    spacing: tuple[float, float]


def is_dicom(path: Path) -> bool:
    """Whether a file carries the DICOM prefix after its preamble.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as handle:
        return handle.read(_MAGIC_AT + 4)[_MAGIC_AT:] == _MAGIC


def read_series(
    folder: str | os.PathLike[str],
    *,
    series: int | None = None,
    modality: Modality | None = None,
) -> Volume | Image:
    """Read one series of a folder, subfolders included.

    Axis I of the volume is the column of the stored images, J the row, K the position along
    the normal of the slices. Objects without images (reports, segmentations) are passed over;
    a DICOMDIR is never opened.

    Args:
        folder: the folder.
        series: 1-based choice where the folder holds several series, in the order in which
            the error lists them.
        modality: overrides the Modality tag.

    Returns:
        A volume, or an image if the series has a single file.

    Raises:
        ImageFileError: no DICOM image, several series and no choice, a damaged file, or slices
            that do not form one regular stack: gaps, repeated positions, mixed sizes or
            orientations, colour.
    """
    root = Path(folder)
    slices = _choose(_group(root), series, root)
    if len(slices) == 1:
        return read_dicom(slices[0].path, modality=modality)
    return _stack(slices, root.name, modality)


def series_files(folder: str | os.PathLike[str], *, series: int | None = None) -> list[Path]:
    """The files of a series in the order of axis K of the volume that ``read_series`` makes.

    Args:
        folder: see ``read_series``.
        series: see ``read_series``.

    Raises:
        ImageFileError: see ``read_series``.
    """
    root = Path(folder)
    slices = _choose(_group(root), series, root)
    if len(slices) > 1:
        slices = _ordered(slices, root.name).slices
    return [each.path for each in slices]


def _group(root: Path) -> list[list[_Slice]]:
    """The images of a folder by series, ordered by series number."""
    groups: dict[str, list[_Slice]] = {}
    for path in files_below(root):
        if not is_dicom(path):
            continue
        header = read_header(path)
        if not header.get("Rows"):
            continue
        check_image(header, path.name)
        groups.setdefault(str(header.get("SeriesInstanceUID") or ""), []).append(
            _Slice(path, header)
        )
    return [groups[uid] for uid in sorted(groups, key=lambda uid: (_number(groups[uid]), uid))]


def _number(slices: list[_Slice]) -> float:
    return (numbers(slices[0].header, "SeriesNumber", 1) or (float("inf"),))[0]


def files_below(root: Path) -> list[Path]:
    """All files of a folder and its subfolders but DICOMDIRs and links, sorted by path.

    Raises:
        ImageFileError: more than ``MAX_FILES``.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if name.upper() != "DICOMDIR" and path.is_file() and not path.is_symlink():
                found.append(path)
        if len(found) > MAX_FILES:
            raise ImageFileError(
                f"more than {MAX_FILES:,} files in {root.name!r}",
                remedy="point at the folder of one series",
            )
    return found


def _choose(groups: list[list[_Slice]], series: int | None, root: Path) -> list[_Slice]:
    if not groups:
        raise ImageFileError(
            f"no DICOM image in the folder {root.name!r}",
            expected="the files of one DICOM series",
            remedy="choose another folder, or a single image file",
        )
    listed = ", ".join(
        f"{index}: {modality_of(group[0].header)}, {len(group)} images"
        for index, group in enumerate(groups, start=1)
    )
    if series is None and len(groups) > 1:
        raise ImageFileError(
            f"{len(groups)} series in the folder {root.name!r} ({listed})",
            expected="one series",
            remedy="point at the subfolder of one series, or choose its number",
        )
    if series is not None and not 1 <= series <= len(groups):
        raise ImageFileError(
            f"series {series}", expected=f"one of {listed}", remedy="choose one that exists"
        )
    return groups[(series or 1) - 1]


def _stack(slices: list[_Slice], name: str, modality: Modality | None) -> Volume:
    first = slices[0].header
    ordered = _ordered(slices, name)
    check_volume_shape((int(first.Columns), int(first.Rows), len(slices)))
    found = modality or modality_of(first)
    frames = []
    for path, _ in ordered.slices:
        frames.append(decode(read_with_pixels(path), path.name, modality=found))
    units = {frame.unit for frame in frames}
    return Volume(
        voxels=np.stack([frame.pixels.T for frame in frames], axis=2),
        affine=_affine(ordered.positions, ordered.cosines, ordered.spacing),
        modality=found,
        unit=units.pop() if len(units) == 1 else None,
        window=frames[len(frames) // 2].window,
    )


def _ordered(slices: list[_Slice], name: str) -> _Ordered:
    first = slices[0].header
    _check_alike(slices, name)
    cosines, spacing = cosines_of(first), spacing_of(first)
    places = [numbers(item.header, "ImagePositionPatient", 3) for item in slices]
    if cosines is None or spacing is None or any(place is None for place in places):
        raise ImageFileError(
            f"{len(slices)} images without positions in the folder {name!r}",
            expected="ImagePositionPatient, ImageOrientationPatient and PixelSpacing in each",
            remedy="open one of its files",
        )
    positions = np.array(places, dtype=np.float64)
    order = np.argsort(positions @ np.cross(cosines[0], cosines[1]), kind="stable")
    positions = positions[order]
    _check_regular(positions, np.cross(cosines[0], cosines[1]), name)
    return _Ordered([slices[int(index)] for index in order], positions, cosines, spacing)


def _affine(
    positions: NDArray[np.float64],
    cosines: tuple[NDArray[np.float64], NDArray[np.float64]],
    spacing: tuple[float, float],
) -> NDArray[np.float64]:
    """Voxel (column, row, slice) to RAS+ millimetres; a tilted gantry gives a sheared matrix."""
    affine = np.eye(4)
    affine[:3, 0] = cosines[0] * spacing[1]
    affine[:3, 1] = cosines[1] * spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 3] = positions[0]
    matrix: NDArray[np.float64] = _LPS_TO_RAS @ affine
    return matrix


def _check_alike(slices: list[_Slice], name: str) -> None:
    """All slices: one gray frame, of one size, modality, orientation and spacing."""
    first = slices[0].header
    orientation = numbers(first, "ImageOrientationPatient", 6)
    for _, header in slices:
        frames = (numbers(header, "NumberOfFrames", 1) or (1.0,))[0]
        if header.get("SamplesPerPixel", 1) != 1 or frames > 1:
            raise ImageFileError(
                f"colour or multi-frame images in the series of {name!r}",
                expected="a stack of gray slices",
                remedy="open one of its files",
            )
        own = numbers(header, "ImageOrientationPatient", 6)
        turned = (own is None) != (orientation is None) or (
            own is not None
            and orientation is not None
            and not np.allclose(own, orientation, atol=1e-3)
        )
        sizes = [(item.get("Rows"), item.get("Columns")) for item in (header, first)]
        spacings = [np.array(spacing_of(item) or (0.0, 0.0)) for item in (header, first)]
        different = sizes[0] != sizes[1] or not np.allclose(spacings[0], spacings[1], rtol=1e-3)
        if turned or different or header.get("Modality") != first.get("Modality"):
            raise ImageFileError(
                f"images of different size, spacing or orientation in the series of {name!r}",
                expected="one regular stack",
                remedy="move localisers and reformats to a folder of their own",
            )


def _check_regular(positions: NDArray[np.float64], normal: NDArray[np.float64], name: str) -> None:
    """Sorted slices must lie on one line, at equal distances."""
    steps = np.diff(positions @ normal)
    typical = float(np.median(steps))
    repeated = int(np.count_nonzero(steps < 1e-3))
    if repeated:
        raise ImageFileError(
            f"{repeated} repeated slice positions in the series of {name!r}",
            expected="one image a position",
            remedy="keep one phase, echo or reconstruction in the folder",
        )
    worst = int(np.argmax(np.abs(steps - typical)))
    if abs(float(steps[worst]) - typical) > _STEP_TOLERANCE * typical:
        raise ImageFileError(
            f"{steps[worst]:.2f} mm between slices {worst + 1} and {worst + 2} of {name!r}",
            expected=f"{typical:.2f} mm, as between the others",
            remedy="add the missing files, or convert the series to NIfTI",
        )
    line = positions[0] + np.linspace(0, 1, len(positions))[:, None] * (
        positions[-1] - positions[0]
    )
    if float(np.abs(positions - line).max()) > 0.1 * typical + 0.1:
        raise ImageFileError(
            f"slices of {name!r} do not lie on one line",
            expected="one regular stack",
            remedy="convert the series to NIfTI",
        )
