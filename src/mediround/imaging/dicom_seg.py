"""DICOM segmentation objects: their segments, on the images that they were drawn on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from mediround.errors import ImageFileError
from mediround.geometry import BoolMask
from mediround.imaging.codestream import check_codestream
from mediround.imaging.dicom_header import read_tags
from mediround.imaging.dicom_series import files_below, is_dicom
from mediround.imaging.image import Modality
from mediround.imaging.untrusted import decoding
from mediround.imaging.volume import Volume, check_volume_shape

SEGMENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes: Segmentation Storage, Label Map Segmentation Storage."""

_INDEX_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SegmentSequence",
    "ReferencedSeriesSequence",
]
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HALF = 0.5


class Segment(NamedTuple):
    """One segment: its number, and what it may be called, the most telling name first."""

    number: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class SegmentationFile:
    """What the header of a segmentation object says.

    Attributes:
        path: the file.
        key: a name for it that holds no identifier of the patient or the study.
        patient: the same for all files of a patient in this folder, and no identifier.
        segments: its segments.
        images: SOP instance UID -> file, for the images it refers to that were found.
        missing: how many of the images it refers to were not found.
    """

    path: Path
    key: str
    patient: str
    segments: tuple[Segment, ...]
    images: Mapping[str, Path] = field(default_factory=dict)
    missing: int = 0


def find_segmentations(
    folder: Path,
) -> tuple[list[SegmentationFile], list[tuple[Path, ImageFileError]]]:
    """The segmentation objects in a folder and its subfolders, sorted by path.

    Only headers are read. Identifiers of patients never leave this function: ``patient`` is a
    digest of the patient's ID and first study UID, which nobody can guess together.

    Returns:
        The segmentations, and the DICOM files that cannot be read.

    Raises:
        ImageFileError: too many files.
    """
    headers, damaged = _headers(folder)
    images = {
        str(header.get("SOPInstanceUID")): path
        for path, header in headers
        if not _is_segmentation(header)
    }
    studies: dict[str, list[str]] = {}
    for _, header in headers:
        identifier = str(header.get("PatientID") or "")
        studies.setdefault(identifier, []).append(str(header.get("StudyInstanceUID") or ""))
    found = []
    for path, header in headers:
        if not _is_segmentation(header):
            continue
        identifier = str(header.get("PatientID") or "")
        # Without an ID, files of one study are all that is known to be of one person.
        own = str(header.get("StudyInstanceUID") or path.name)
        first = min(studies[identifier]) if identifier else own
        referred = _referred(header)
        known = {uid: images[uid] for uid in referred if uid in images}
        found.append(
            SegmentationFile(
                path=path,
                key="seg-" + _digest(str(header.get("SOPInstanceUID") or path.name)),
                patient="patient-" + _digest(identifier, first),
                segments=tuple(_segment(item) for item in header.get("SegmentSequence") or ()),
                images=known,
                missing=len(referred) - len(known),
            )
        )
    return found, damaged


class Segmentation:
    """An opened segmentation object.

    Args:
        path: the file.

    Raises:
        ImageFileError: damaged, too large, deflated, or no segmentation.
        DependencyError: highdicom is not installed.
    """

    def __init__(self, path: Path) -> None:
        from highdicom.seg import Segmentation as Opened  # a second of imports that few need

        self.name = path.name
        header = read_tags(path, _INDEX_TAGS, pixels=False)
        if not _is_segmentation(header):
            raise ImageFileError(f"{path.name!r} is no DICOM segmentation", expected="a SEG object")
        frames = int(header.get("NumberOfFrames") or 1)
        check_volume_shape((int(header.Rows), int(header.Columns), frames))
        with decoding(path.name, "DICOM SEG"):
            dataset = dcmread(path)
            check_codestream(dataset, 0, frames)
            self._opened: Any = Opened.from_dataset(dataset, copy=False)
        self.numbers = [int(number) for number in self._opened.segment_numbers]

    def image_uids(self) -> list[str]:
        """SOP instance UIDs of the images that frames were drawn on, in the order of the file.

        Raises:
            ImageFileError: the file does not name them.
        """
        with decoding(self.name, "DICOM SEG that names its images"):
            return [str(uid) for _, _, uid in self._opened.get_source_image_uids()]

    def masks_on(self, uid: str) -> Iterator[tuple[int, BoolMask]]:
        """Segment number and mask (H, W), in the stored pixels of one image; empty ones included.

        Probabilities of a fractional segmentation count from one half on.

        Raises:
            ImageFileError: it cannot be decoded, or its frames do not follow the image.
        """
        with decoding(self.name, "DICOM SEG"):
            frames = self._opened.get_pixels_by_source_instance(
                [uid], combine_segments=False, ignore_spatial_locations=False
            )
        for place, number in enumerate(self.numbers):
            yield number, np.asarray(frames[0, :, :, place] >= _HALF)

    def volume(self) -> Volume:
        """All segments as one label map in the patient, values are segment numbers.

        Raises:
            ImageFileError: segments overlap, frames that are no regular stack.
        """
        with decoding(self.name, "DICOM SEG whose segments form one label map"):
            read = self._opened.get_volume(combine_segments=True, allow_missing_positions=True)
            voxels: NDArray[Any] = np.asarray(read.array)
            affine: NDArray[np.float64] = _LPS_TO_RAS @ np.asarray(read.affine, dtype=np.float64)
        return Volume(voxels=voxels, affine=affine, modality=Modality.OTHER)


def _headers(
    folder: Path,
) -> tuple[list[tuple[Path, Dataset]], list[tuple[Path, ImageFileError]]]:
    headers: list[tuple[Path, Dataset]] = []
    damaged: list[tuple[Path, ImageFileError]] = []
    for path in files_below(folder):
        if not is_dicom(path):
            continue
        try:
            headers.append((path, read_tags(path, _INDEX_TAGS, pixels=False)))
        except ImageFileError as error:
            damaged.append((path, error))
    return headers, damaged


def _is_segmentation(header: Dataset) -> bool:
    return str(header.get("SOPClassUID") or "") in SEGMENTATION_CLASSES


def _referred(header: Dataset) -> list[str]:
    series = header.get("ReferencedSeriesSequence") or ()
    instances = (item for one in series for item in one.get("ReferencedInstanceSequence") or ())
    return [str(item.get("ReferencedSOPInstanceUID") or "") for item in instances]


def _segment(item: Dataset) -> Segment:
    """Names from the label, and from the coded type with its side."""
    label = str(item.get("SegmentLabel") or "").strip()
    coded = ""
    types = item.get("SegmentedPropertyTypeCodeSequence") or ()
    for code in types:
        coded = str(code.get("CodeMeaning") or "").strip()
        sides = code.get("SegmentedPropertyTypeModifierCodeSequence") or ()
        for side in sides:
            coded = f"{side.get('CodeMeaning')} {coded}".strip()
    return Segment(int(item.get("SegmentNumber") or 0), tuple(n for n in (label, coded) if n))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
