"""What a segment of a DICOM SEG says of itself: codes, who drew it, its place in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from mediround import anatomy
from mediround.imaging.overlay import colour_of

MANUFACTURER = "MediRound"
LONGEST_LABEL, _LONGEST_DESCRIPTION = 64, 1024

_SCHEME = "SCT"
_ANATOMY = Code("91723000", _SCHEME, "Anatomical Structure")
_LESION = Code("49755003", _SCHEME, "Morphologically Abnormal Structure")
_TISSUE = Code("85756007", _SCHEME, "Tissue")
_SIDES = {
    "left": Code("7771000", _SCHEME, "Left"),
    "right": Code("24028007", _SCHEME, "Right"),
}
_FAMILY = Code("123110", "DCM", "Artificial Intelligence")


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


def describe(place: int, segment: SegmentToWrite, algorithm: Algorithm) -> Any:
    """Segment ``place`` (from 1) as highdicom's SegmentDescription."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    label = segment.name or f"structure {segment.number}"
    category, kind, side = _codes(segment.name)
    described = SegmentDescription(
        segment_number=place,
        segment_label=label[:LONGEST_LABEL],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if segment.by_person else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"{MANUFACTURER} {algorithm.name}"[:LONGEST_LABEL],
            family=_FAMILY,
            version=algorithm.version,
            source=MANUFACTURER,
            parameters={"weights_sha256": algorithm.weights_sha256},
        ),
        tracking_uid=generate_uid(entropy_srcs=[segment.identity]),
        tracking_id=f"[{segment.number}] {label}"[:LONGEST_LABEL],
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
