"""What is read of a DICOM header: the tags that pixels and geometry need, and no others.

Nothing about a patient, a study or an institution is ever parsed, so it cannot reach an image,
a log or an error.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue

from mediround.errors import ImageFileError
from mediround.imaging.image import Edges, Modality, check_size
from mediround.imaging.untrusted import decoding

KIND = "DICOM"

_HEADER_TAGS = [
    "SOPClassUID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
    "SliceThickness",
    "PixelSpacing",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
]
_PIXEL_TAGS = [
    "ModalityLUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
]
# A few kilobytes of a deflated file inflate a thousandfold before the first tag can be checked.
_DEFLATED = {
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.205",
}
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_ENHANCED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.3",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128.1",
    "1.2.840.10008.5.1.4.1.1.130",
}
# Grids whose numbers are labels or doses: they look like images and are none.
_NOT_IMAGES = {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "SR", "KO", "PR", "REG", "ECG"}
_MODALITIES = {
    "CT": Modality.CT,
    "MR": Modality.MR,
    "US": Modality.US,
    "IVUS": Modality.US,
    "CR": Modality.XR,
    "DX": Modality.XR,
    "MG": Modality.XR,
    "RF": Modality.XR,
    "XA": Modality.XR,
    "IO": Modality.XR,
    "PX": Modality.XR,
    "ES": Modality.ENDOSCOPY,
}
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
_PATIENT_LETTERS = {"R": "R", "L": "L", "A": "A", "P": "P", "H": "S", "F": "I"}


def read_header(path: Path) -> Dataset:
    """The header of one DICOM file, without its pixels.

    Raises:
        ImageFileError: not DICOM, damaged, a DICOMDIR, or a deflated transfer syntax.
    """
    return read_tags(path, _HEADER_TAGS, pixels=False)


def read_with_pixels(path: Path) -> Dataset:
    """The header with the still encoded pixels, after the header alone has passed the limits.

    Raises:
        ImageFileError: see ``read_header`` and ``check_image``.
    """
    check_image(read_header(path), path.name)
    return read_tags(path, _HEADER_TAGS + _PIXEL_TAGS, pixels=True)


def check_image(header: Dataset, name: str) -> None:
    """Refuse an object that is no image or too large, on its header.

    Raises:
        ImageFileError: no pixels, labels or doses, an enhanced multi-frame object, a size
            outside the limits.
    """
    kind = str(header.get("Modality") or "")
    rows, columns = header.get("Rows"), header.get("Columns")
    if kind in _NOT_IMAGES or not rows or not columns:
        raise ImageFileError(
            f"{name!r} is a DICOM object without image pixels"
            + (f" (modality {kind})" if kind in _NOT_IMAGES else ""),
            expected="a DICOM image",
            remedy="choose the image that it belongs to",
        )
    if str(header.get("SOPClassUID") or "") in _ENHANCED_CLASSES:
        raise ImageFileError(
            f"{name!r} is an enhanced multi-frame {kind} object",
            expected="one file a slice, or a plain multi-frame image",
            remedy="convert it to NIfTI, for instance with dcm2niix",
        )
    with decoding(name, KIND):
        check_size(int(rows), int(columns))


def modality_of(header: Dataset) -> Modality:
    """The Modality tag in this package's terms: UNKNOWN if absent, OTHER if it is none of ours."""
    kind = str(header.get("Modality") or "")
    return _MODALITIES.get(kind, Modality.OTHER) if kind else Modality.UNKNOWN


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """The first ``count`` values of a numeric tag; None if one is missing or not finite."""
    value = header.get(keyword)
    if value is None or value == "":
        return None
    try:
        items = [float(item) for item in (value if isinstance(value, MultiValue) else [value])]
    except (TypeError, ValueError):
        return None
    usable = len(items) >= count and all(math.isfinite(item) for item in items[:count])
    return tuple(items[:count]) if usable else None


def spacing_of(header: Dataset) -> tuple[float, float] | None:
    """(between rows, between columns) in millimetres from PixelSpacing, or None.

    ImagerPixelSpacing is left out: it measures the detector, not the patient.
    """
    found = numbers(header, "PixelSpacing", 2)
    if found is None or min(found) <= 0:
        return None
    return found[0], found[1]


def cosines_of(header: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Unit vectors in LPS along which the column index and the row index grow, or None."""
    found = numbers(header, "ImageOrientationPatient", 6)
    if found is None:
        return None
    along_row, along_column = np.array(found[:3]), np.array(found[3:])
    lengths = float(np.linalg.norm(along_row)), float(np.linalg.norm(along_column))
    if min(lengths) < 0.5 or abs(float(along_row @ along_column)) > 0.01:
        return None
    return along_row / lengths[0], along_column / lengths[1]


def directions_of(header: Dataset) -> Edges | None:
    """The patient side at each edge, from the orientation cosines or PatientOrientation."""
    cosines = cosines_of(header)
    if cosines is not None:
        right, bottom = _side(cosines[0]), _side(cosines[1])
    else:
        letters = header.get("PatientOrientation") or ()
        if isinstance(letters, str) or len(letters) != 2:
            return None
        # Further letters refine an oblique direction; the first one dominates.
        right, bottom = (_PATIENT_LETTERS.get(str(letter)[:1], "") for letter in letters)
    if right not in _OPPOSITE or bottom not in _OPPOSITE or bottom in (right, _OPPOSITE[right]):
        return None
    return Edges(left=_OPPOSITE[right], right=right, top=_OPPOSITE[bottom], bottom=bottom)


def _side(direction: NDArray[np.float64]) -> str:
    """The patient side that a direction in LPS points to most."""
    axis = int(np.argmax(np.abs(direction)))
    return ("LPS" if direction[axis] > 0 else "RAI")[axis]


def read_tags(path: Path, tags: list[str], *, pixels: bool) -> Dataset:
    """Some tags of a DICOM file, with or without the pixels among them.

    Raises:
        ImageFileError: not DICOM, damaged, a DICOMDIR, or a deflated transfer syntax.
    """
    with decoding(path.name, KIND):
        meta = read_file_meta_info(path)
        object_class = str(meta.get("MediaStorageSOPClassUID") or "")
        syntax = str(meta.get("TransferSyntaxUID") or "")
    if object_class == _DIRECTORY_CLASS:
        raise ImageFileError(
            f"{path.name!r} is a DICOMDIR, an index of other files",
            expected="a DICOM image",
            remedy="choose an image file or the folder of one series",
        )
    if syntax in _DEFLATED:
        raise ImageFileError(
            f"{path.name!r} uses a deflated transfer syntax",
            expected="uncompressed, JPEG, JPEG-LS, JPEG 2000 or RLE",
            remedy="convert it, for instance with dcmconv +te",
        )
    with decoding(path.name, KIND):
        dataset = dcmread(path, stop_before_pixels=not pixels, specific_tags=list(tags))
        # pydicom converts a value when it is first touched; a damaged one must fail here.
        for _ in dataset.iterall():
            pass
    return dataset
