"""A session as a DICOM segmentation object."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mediround import __version__
from mediround.dialogue import Entity
from mediround.errors import InputError
from mediround.geometry import BoolMask
from mediround.session.export_case import Case, place_of, question_of

_ENDINGS = (".dcm", ".dicom")
_BY_PERSON = ("corrected", "given")


def export_dicom_seg(case: Case, path: Path) -> list[Path]:
    """Write one SEG on the images that were opened, a segment for each mask.

    Raises:
        InputError: the image is not DICOM, or its header lacks what a SEG must repeat.
        OutputError: the file cannot be written.
    """
    # A second of imports that the other formats do not need.
    from mediround.imaging.dicom_seg_writer import write_dicom_seg
    from mediround.imaging.dicom_segment import Algorithm, SegmentToWrite
    from mediround.imaging.dicom_source import source_files

    if case.source.path is not None and not case.source.path.exists():
        raise InputError(
            "the DICOM images of this session are no longer where they were opened",
            expected="the files that a DICOM SEG refers to",
            remedy="put them back, or save the session and export it with --source",
        )
    if not case.is_dicom or case.source.path is None:
        raise InputError(
            "this session is not about DICOM images",
            expected="a DICOM file or series, which a DICOM SEG refers to",
            remedy="export nifti, coco or png instead",
        )
    drawn = case.drawn
    images = source_files(case.source.path)
    segments = [
        SegmentToWrite(
            masks=_planes(case, mask),
            number=entity.id,
            name=entity.name,
            description=_description(case, entity),
            by_person=entity.status in _BY_PERSON,
            identity=_identity(case, entity),
        )
        for entity, mask in drawn
    ]
    target = place_of(path, _ENDINGS, "seg.dcm")
    stored = case.stored
    write_dicom_seg(
        target, images, segments, Algorithm(stored.model, __version__, stored.weights_sha256)
    )
    return [target]


def _planes(case: Case, mask: BoolMask) -> BoolMask:
    """The mask on every image: bool (N, rows, columns); axis I of a volume is a column."""
    return np.ascontiguousarray(case.placed(mask).transpose(2, 1, 0))


def _description(case: Case, entity: Entity) -> str:
    question = question_of(case.dialogue, entity.id)
    given = "given by a person" if entity.box_prompt is None else "found in a box of a person"
    said = given if question is None else f"question: {question}"
    parts = [f"[{entity.id}] {said}"]
    if entity.refers_to:
        parts.append("refers to " + ", ".join(f"[{number}]" for number in entity.refers_to))
    if entity.score is not None:
        parts.append(f"estimated IoU {entity.score:.2f}")
    if entity.status in ("corrected", "unsure"):
        parts.append(entity.status)
    return "; ".join(parts)


def _identity(case: Case, entity: Entity) -> str:
    """Equal for the same structure of the same dialogue, whatever its mask has become.

    A given mask has no question to be known by: there the mask itself counts.
    """
    asked = [each.query for each in case.dialogue.rounds]
    for place, each in enumerate(case.dialogue.rounds):
        if entity in each.entities:
            asked = asked[: place + 1]
    stored, own = case.stored, "" if entity.mask is None else entity.mask.counts
    parts = [stored.image_sha256, stored.weights_sha256, str(entity.id), *asked]
    return "\0".join(parts + ([own] if entity.status == "given" else []))
