"""DICOM segmentation objects, written from masks on the images that they were drawn on.

One segment a mask, BINARY, so that segments may overlap. The object belongs to the study and the
patient of its images: it repeats what identifies them, and nothing of that is logged.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import DA, TM

from mediround.errors import ImageFileError, InputError
from mediround.imaging.dicom_segment import (
    LONGEST_LABEL,
    MANUFACTURER,
    Algorithm,
    SegmentToWrite,
    describe,
)
from mediround.imaging.dicom_source import read_whole_header
from mediround.imaging.output import replacing

DESCRIPTION = "Research use only"

_LOCK = threading.Lock()
# Type 2: has to be there, may be empty; many files leave them out.
_WANTED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)


def write_dicom_seg(
    path: Path, images: Sequence[Path], segments: Sequence[SegmentToWrite], algorithm: Algorithm
) -> None:
    """Write one SEG object about ``images``; it appears whole or not at all.

    Planes on which every mask is empty are left out; an empty segment is described all the same.

    Args:
        path: the file.
        images: the DICOM files that were drawn on, single-frame; of a multi-frame file (a film)
            the first frame counts.
        segments: at least one; they may overlap.
        algorithm: what drew them.

    Raises:
        ImageFileError: an image cannot be read, or its header lacks what a SEG must repeat.
        InputError: no segments, or masks of another size than the images.
        OutputError: the file cannot be written.
    """
    if not segments:
        raise InputError("there are no masks to export", remedy="ask for a structure first")
    with _unheard():
        segmentation = _about(images, segments, algorithm)
        with replacing(path) as handle:
            segmentation.save_as(handle, enforce_file_format=True)


@contextmanager
def _unheard() -> Iterator[None]:
    """Neither warnings nor log lines of the libraries: theirs quote what they object to.

    A patient's name would be among it. What is wrong with a header is no news here; the object
    repeats it as it is. Both switches are the process's, hence one export at a time.
    """
    with _LOCK, warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _about(
    images: Sequence[Path], segments: Sequence[SegmentToWrite], algorithm: Algorithm
) -> Dataset:
    used = _used_planes(segments)
    headers = [read_whole_header(images[plane]) for plane in used]
    size = (int(headers[0].Rows), int(headers[0].Columns))
    for segment in segments:
        if segment.masks.shape != (len(images), *size):
            raise InputError(
                f"masks of shape {segment.masks.shape} for {len(images)} images of {size}",
                expected="the shape of the images",
            )
    object_class = str(headers[0].get("SOPClassUID") or "")
    film = int(headers[0].get("NumberOfFrames") or 1) > 1
    for header in headers:
        _complete(header, images[0].name)
        _place(header)
    pixels = np.stack([segment.masks[used] for segment in segments], axis=-1).astype(np.uint8)
    segmentation = _compose(headers, pixels, segments, algorithm, images[0].name)
    _refer(segmentation, object_class, film=film)
    if "FrameOfReferenceUID" not in headers[0] and "PatientOrientation" not in segmentation:
        segmentation.PatientOrientation = headers[0].get("PatientOrientation") or ""
    return segmentation


def _used_planes(segments: Sequence[SegmentToWrite]) -> list[int]:
    drawn = np.zeros(len(segments[0].masks), dtype=bool)
    for segment in segments:
        drawn |= segment.masks.any(axis=(1, 2))
    return [int(plane) for plane in np.flatnonzero(drawn)] or [0]


def _complete(header: Dataset, name: str) -> None:
    for keyword in _WANTED:
        if keyword not in header or not _readable(header[keyword]):
            setattr(header, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not header.get(keyword):
            raise ImageFileError(
                f"{name!r} has no {keyword}",
                expected="a complete DICOM image",
                remedy="export nifti or png instead",
            )


def _readable(element: DataElement) -> bool:
    """Whether a date or time is one; hospitals write others, which no reader understands."""
    kinds: dict[str, type[DA] | type[TM]] = {"DA": DA, "TM": TM}
    if element.VR not in kinds or not element.value:
        return True
    try:
        kinds[element.VR](element.value)
    except ValueError:
        return False
    return True


def _place(header: Dataset) -> None:
    """Make the geometry of ``header`` one that highdicom takes: in the patient, or nowhere.

    Frames of a film (ultrasound, endoscopy) share no positions. Such an image, and any other
    without, is presented as a plain picture of one frame; ``_refer`` names what it is in truth.
    """
    if "NumberOfFrames" in header or not header.get("ImagePositionPatient"):
        header.SOPClassUID = SecondaryCaptureImageStorage
        for keyword in ("NumberOfFrames", "FrameOfReferenceUID"):
            if keyword in header:
                delattr(header, keyword)
    elif not header.get("FrameOfReferenceUID"):
        # Positions relative to something that the file does not name; one name for the series.
        header.FrameOfReferenceUID = generate_uid(
            entropy_srcs=[str(header.SeriesInstanceUID), "frame of reference"]
        )


def _refer(segmentation: Dataset, object_class: str, *, film: bool) -> None:
    """Name the class of the image in every reference, and of a film its first frame."""
    for item in segmentation.iterall():
        if item.keyword == "ReferencedSOPClassUID":
            item.value = object_class
    if not film:
        return
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or ():
            for source in derivation.SourceImageSequence:
                source.ReferencedFrameNumber = 1


def _compose(
    headers: list[Dataset],
    pixels: NDArray[np.uint8],
    segments: Sequence[SegmentToWrite],
    algorithm: Algorithm,
    name: str,
) -> Dataset:
    from highdicom.seg import Segmentation  # a second of imports that few need

    descriptions = [
        describe(place, segment, algorithm) for place, segment in enumerate(segments, start=1)
    ]
    try:
        made: Dataset = Segmentation(
            source_images=headers,
            pixel_array=pixels,
            segmentation_type="BINARY",
            segment_descriptions=descriptions,
            series_instance_uid=generate_uid(),
            series_number=_series_number(headers[0]),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=algorithm.name[:LONGEST_LABEL],
            software_versions=algorithm.version,
            device_serial_number=algorithm.weights_sha256[:LONGEST_LABEL],
            content_label="MEDIROUND",
            content_description=DESCRIPTION,
            series_description=f"{MANUFACTURER} segmentation, research use only",
            omit_empty_frames=bool(pixels.any()),
            # Questions and names come in any language.
            specific_character_set="ISO_IR 192",
        )
    # highdicom repeats tags of a foreign file, and refuses some. The words of its refusals may
    # quote the patient, so they stay out of the traceback too.
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ImageFileError(
            f"the header of {name!r} does not allow a DICOM SEG ({type(error).__name__})",
            expected="patient, study and geometry as the standard has them",
            remedy="export nifti or png instead",
        ) from None
    return made


def _series_number(header: Dataset) -> int:
    """Behind the images' own, as viewers sort by it; at most what an IS may hold."""
    own = header.get("SeriesNumber")
    return min(abs(int(own)) + 1000, 2**31 - 1) if own is not None else 1000
