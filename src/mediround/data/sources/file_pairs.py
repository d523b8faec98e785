"""Which file is the image of which labels, and whose it is, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mediround.errors import CaseError, DatasetError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
VOLUMES = (".nii.gz", ".nii")
IMAGE_FOLDERS = ("images", "image", "imagesTr", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "labelsTr", "segmentations", "annotations")
_ADDED = re.compile(
    r"[_\-. ](?:\d{4}|image|img|label|labels|seg|dseg|mask|masks|gt|groundtruth|ct|mr|mri|t1|t1w|"
    r"t2|t2w|flair|orig)$",
    re.IGNORECASE,
)


def stem(path: Path) -> str:
    """The name of a file without its ending, ".nii.gz" being one."""
    lower = path.name.lower()
    ending = next((e for e in (*PICTURES, *VOLUMES) if lower.endswith(e)), path.suffix)
    return path.name[: len(path.name) - len(ending)]


def case_of(path: Path) -> str:
    """What image and labels of a case share: the stem without "_0000", "_seg" and the like."""
    return _ADDED.sub("", stem(path))


def files_in(folder: Path, endings: Sequence[str]) -> list[Path]:
    """The files of a folder with one of these endings, hidden ones left out, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(tuple(endings)) and not path.name.startswith(".")
    )


def subfolder(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these folders that exists in ``folder``."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def by_case(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by what ``case_of`` says, an exact stem winning over a shortened one later on."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(case_of(path), []).append(path)
    return found


def only(paths: Sequence[Path], what: str, partner: str) -> Path:
    """The single file of a case.

    Raises:
        CaseError: none, or several.
    """
    if len(paths) != 1:
        listed = " and ".join(path.name for path in paths[:3]) or "nothing"
        raise CaseError(f"{listed} found as {what} of {partner}", expected="exactly one file")
    return paths[0]


def inside(folder: Path, name: str) -> Path:
    """``folder / name`` for a name that a data file gives.

    Raises:
        CaseError: the name leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CaseError(f"the file name {name!r} leads out of {folder.name}")
    return path


def check_pattern(pattern: str | None) -> None:
    """Refuse a pattern for patients that cannot work.

    Raises:
        DatasetError: no regular expression, or not exactly one group.
    """
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise DatasetError(f"the patient pattern {pattern!r} is wrong ({error})") from error
    if groups != 1:
        raise DatasetError(
            f"the patient pattern {pattern!r} has {groups} groups",
            expected=r"one group that is the patient, such as (patient\d+)_",
        )


def patient_in(name: str, pattern: str | None) -> str:
    """The patient of a case: the pattern's group, or the whole name where it finds none."""
    matched = re.search(pattern, name) if pattern else None
    return name if matched is None else matched.group(1)
