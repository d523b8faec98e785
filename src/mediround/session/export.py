"""A session in the formats of other programs, voxel for voxel where the masks were drawn.

    export(case, "dicom-seg", Path("liver.dcm"))
    export_file(Path("case.mediround"), "nifti", Path("masks"))

| format    | files |
|-----------|-------|
| dicom-seg | one DICOM segmentation object on the images that were opened |
| nifti     | a mask a file in the grid of the source, or one label map |
| coco      | COCO json with run-length masks, the image beside it |
| png       | a mask a file, pictures for people, the session |
| stl       | the surface of every mask of a volume, millimetres in LPS |
| dialogue  | a typed dialogue that training reads, the image beside it |
| official  | the bracket JSON of the official release, images and masks beside it |

No model is needed, and no torch: a saved session and its image are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mediround.errors import InputError
from mediround.session.export_case import Case
from mediround.session.export_dicom import export_dicom_seg
from mediround.session.export_masks import export_nifti, export_png, export_stl
from mediround.session.export_records import export_coco, export_dialogue, export_official
from mediround.session.reopening import reopen
from mediround.session.store import SessionFile

__all__ = ["FORMATS", "Case", "export", "export_file", "formats_of"]

Writer = Callable[[Case, Path], list[Path]]

_WRITERS: dict[str, Writer] = {
    "dicom-seg": export_dicom_seg,
    "nifti": export_nifti,
    "coco": export_coco,
    "png": export_png,
    "stl": export_stl,
    "dialogue": export_dialogue,
}
_OFFICIAL = "official"

FORMATS: tuple[str, ...] = (*_WRITERS, _OFFICIAL)
"""Every format that ``export`` knows."""


def export(case: Case, to: str, path: Path, *, drop: bool = False) -> list[Path]:
    """Write ``case`` in a format.

    Args:
        case: a session and its image.
        to: one of ``FORMATS``.
        path: a folder, made where needed, or a file with an ending of the format (``.dcm``,
            ``.nii``, ``.nii.gz``, ``.json``, ``.jsonl``, ``.png``, ``.stl``).
        drop: leave out rounds that the official format cannot say, instead of refusing.

    Returns:
        The files that were written, the main one first.

    Raises:
        InputError: no such format, no masks, or an image or dialogue that the format cannot hold.
        OutputError: a file cannot be written.
    """
    if to == _OFFICIAL:
        return export_official(case, path, drop=drop)
    if to not in _WRITERS:
        raise InputError(f"the format {to!r}", expected=f"one of {', '.join(FORMATS)}")
    return _WRITERS[to](case, path)


def export_file(
    session: Path, to: str, path: Path, *, source: Path | None = None, drop: bool = False
) -> list[Path]:
    """Export a saved session; see ``export``.

    Args:
        session: what ``Session.save`` wrote.
        to: see ``export``.
        path: see ``export``.
        source: where the image is now, if it has moved; proven by its hash.
        drop: see ``export``.

    Raises:
        InputError: see ``export``; also no session, or not its image (SessionFileError).
        OutputError: a file cannot be written.
    """
    if to not in FORMATS:
        raise InputError(f"the format {to!r}", expected=f"one of {', '.join(FORMATS)}")
    stored = SessionFile.read(session)
    image, found = reopen(stored, session.name, source, option="--source IMAGE")
    return export(Case(stored, image, found), to, path, drop=drop)


def formats_of(case: Case) -> list[str]:
    """The formats that the image of ``case`` allows; a dialogue may still not fit one of them."""
    refused = set()
    if not case.is_dicom:
        refused.add("dicom-seg")
    if case.source.volume is None:
        refused.add("stl")
    return [name for name in FORMATS if name not in refused]
