"""DICOM segmentation objects, written from masks on the images that they were drawn on.

One segment a mask, BINARY, so that segments may overlap. The object belongs to the study and the
patient of its images: it repeats what identifies them, and nothing of that is logged.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.config import disable_value_validation
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import DA, TM

from mediround import anatomy
from mediround.errors import ImageFileError, InputError
from mediround.imaging.dicom_source import read_whole_header
from mediround.imaging.output import replacing
from mediround.imaging.overlay import colour_of

MANUFACTURER = "MediRound"
DESCRIPTION = "Research use only"

_SCHEME = "SCT"
_ANATOMY = Code("91723000", _SCHEME, "Anatomical Structure")
_LESION = Code("49755003", _SCHEME, "Morphologically Abnormal Structure")
_TISSUE = Code("85756007", _SCHEME, "Tissue")
_SIDES = {
    "left": Code("7771000", _SCHEME, "Left"),
    "right": Code("24028007", _SCHEME, "Right"),
}
_FAMILY = Code("123110", "DCM", "Artificial Intelligence")
_LOCK = threading.Lock()
_LONGEST_LABEL, _LONGEST_DESCRIPTION = 64, 1024
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


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentToWrite:
    """One mask and what is known of it.

    Attributes:
        masks: bool (N, H, W), one plane for each image, in their order and stored pixels.
        number: the entity's; chooses the colour.
        name: what it is; coded in SNOMED CT where the atlas knows it. None for unnamed.
        description: free text, cut to 1024 characters.
        by_person: a person drew or corrected it: SEMIAUTOMATIC instead of AUTOMATIC.
        identity: the same text for the same structure of the same dialogue; gives the tracking
            UID, from which it cannot be read back.
    """

    masks: NDArray[np.bool_]
    number: int
    name: str | None
    description: str
    by_person: bool
    identity: str


@dataclass(frozen=True)
class Algorithm:
    """What drew the masks: its name, version and weights."""

    name: str
    version: str
    weights_sha256: str


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
        _describe(place, segment, algorithm) for place, segment in enumerate(segments, start=1)
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
            manufacturer_model_name=algorithm.name[:_LONGEST_LABEL],
            software_versions=algorithm.version,
            device_serial_number=algorithm.weights_sha256[:_LONGEST_LABEL],
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


def _describe(place: int, segment: SegmentToWrite, algorithm: Algorithm) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    label = segment.name or f"structure {segment.number}"
    category, kind, side = _codes(segment.name)
    described = SegmentDescription(
        segment_number=place,
        segment_label=label[:_LONGEST_LABEL],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if segment.by_person else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"{MANUFACTURER} {algorithm.name}"[:_LONGEST_LABEL],
            family=_FAMILY,
            version=algorithm.version,
            source=MANUFACTURER,
            parameters={"weights_sha256": algorithm.weights_sha256},
        ),
        tracking_uid=generate_uid(entropy_srcs=[segment.identity]),
        tracking_id=f"[{segment.number}] {label}"[:_LONGEST_LABEL],
        display_color=CIELabColor.from_rgb(*colour_of(segment.number)),
    )
    described.SegmentDescription = segment.description[:_LONGEST_DESCRIPTION]
    if side is not None:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = side[:3]
        coded = described.SegmentedPropertyTypeCodeSequence[0]
        coded.SegmentedPropertyTypeModifierCodeSequence = [item]
    return described


def _codes(name: str | None) -> tuple[Code, Code, Code | None]:
    """Category, type, side; what the atlas has no code for is as general as its category."""
    known = None if name is None else anatomy.load().find(name)
    if known is None:
        return _TISSUE, _TISSUE, None
    category = _LESION if known.system == "lesion" else _ANATOMY
    side = _SIDES.get(known.laterality or "")
    if known.snomed is None:
        return category, category, side
    return category, Code(known.snomed.value, _SCHEME, known.snomed.meaning), side


def _series_number(header: Dataset) -> int:
    """Behind the images' own, as viewers sort by it; at most what an IS may hold."""
    own = header.get("SeriesNumber")
    return min(abs(int(own)) + 1000, 2**31 - 1) if own is not None else 1000
