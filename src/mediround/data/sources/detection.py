"""Which layout a folder has, and so which reader opens it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mediround import anatomy
from mediround.data.sources.broken_case import BrokenSource
from mediround.data.sources.case import Source
from mediround.data.sources.coco import CocoSource
from mediround.data.sources.dicom_seg import DicomSegSource
from mediround.data.sources.file_pairs import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    PICTURES,
    VOLUMES,
    check_pattern,
    files_in,
    subfolder,
)
from mediround.data.sources.label_names import find_names_file
from mediround.data.sources.label_volumes import LabelVolumeSource
from mediround.data.sources.nnunet import NnunetSource
from mediround.data.sources.picture_masks import PictureMaskSource
from mediround.data.sources.sa_med2d import SaMed2dSource
from mediround.data.sources.synthesised import SynthesisedSource
from mediround.data.synthesis.volume import SynthesisSettings
from mediround.errors import DatasetError
from mediround.imaging.image import Modality
from mediround.imaging.volume import Plane

logger = logging.getLogger(__name__)

LOOKED_FOR: Final = (
    "an nnU-Net v2 raw folder (dataset.json with labels and file_ending, labelsTr)",
    "an SA-Med2D-20M folder (images, masks, SAMed2D_v1.json)",
    "a COCO json (images, annotations, categories)",
    "a folder of NIfTI label maps with a names file",
    "images and masks with a names file",
    "DICOM segmentation objects with their series",
    "a folder of such folders",
)
_HEAD: Final = 1 << 16
_COCO_KEYS: Final = (b'"images"', b'"annotations"', b'"categories"', b'"file_name"', b'"bbox"')


@dataclass(frozen=True)
class _Options:
    planes: tuple[Plane, ...]
    seed: int
    patient_pattern: str | None


def open_sources(
    place: Path,
    *,
    planes: Sequence[Plane] = ("axial",),
    synthesis_seed: int = 0,
    patient_pattern: str | None = None,
) -> list[Source]:
    """The data sets at or directly below a place; the content decides, not the name.

    Label maps without any image get synthetic ones.

    Args:
        place: a folder, or a COCO json.
        planes: in which planes volumes are cut.
        synthesis_seed: of the images that are made from label maps.
        patient_pattern: regular expression with one group, the patient in the name of a case,
            for the layouts that do not say whose an image is.

    Returns:
        At least one source, in the order of the folders' names.

    Raises:
        DatasetError: nothing there, or nothing that is known or can be used.
    """
    check_pattern(patient_pattern)
    options = _Options(tuple(planes), synthesis_seed, patient_pattern)
    if not place.exists():
        raise DatasetError(f"there is no {place}", expected="a folder or a COCO json")
    if place.is_file():
        if not _looks_like_coco(place):
            raise DatasetError(f"{place.name} is no COCO json", expected="; ".join(LOOKED_FOR))
        return [CocoSource(place, patient_pattern=patient_pattern)]
    found = _at(place, options)
    if not found:
        found = _below(place, options)
    if not found:
        found = _dicom(place, options)
    if not found:
        raise DatasetError(
            f"{place.name or place} is no data set of a known layout",
            expected="; ".join(LOOKED_FOR),
        )
    return found


def _below(place: Path, options: _Options) -> list[Source]:
    """The data sets in the subfolders; DICOM only beside others, it may span several folders.

    One that cannot be used takes part as a bad case; when all are like that, the first one's
    error is raised.
    """
    folders = sorted(path for path in place.iterdir() if path.is_dir())
    by_folder: dict[Path, list[Source]] = {}
    broken: list[DatasetError] = []
    for path in folders:
        try:
            by_folder[path] = _at(path, options)
        except DatasetError as error:
            logger.warning("%s is left out: %s", path.name, error)
            broken.append(error)
            by_folder[path] = [BrokenSource(path.name, error)]
    if broken and sum(map(bool, by_folder.values())) == len(broken):
        raise broken[0]
    if not any(by_folder.values()):
        return []
    for path in folders:
        by_folder[path] = by_folder[path] or _dicom(path, options)
        if not by_folder[path]:
            logger.info("%s is left out: no data set of a known layout", path.name)
    return [source for path in folders for source in by_folder[path]]


def _at(folder: Path, options: _Options) -> list[Source]:
    """The data sets of a folder itself, DICOM left aside."""
    if _is_nnunet(folder):
        nnunet = NnunetSource(folder, planes=options.planes)
        return [nnunet if nnunet.has_images else _synthesised(nnunet, options)]
    if _is_sa_med2d(folder):
        return [SaMed2dSource(folder)]
    files = [*files_in(folder, (".json",)), *files_in(folder / "annotations", (".json",))]
    coco = [path for path in files if _looks_like_coco(path)]
    if coco:
        return [CocoSource(path, patient_pattern=options.patient_pattern) for path in coco]
    masks = subfolder(folder, MASK_FOLDERS)
    if files_in(masks or folder, VOLUMES) and find_names_file(folder):
        volumes = LabelVolumeSource(
            folder, planes=options.planes, patient_pattern=options.patient_pattern
        )
        return [volumes if volumes.has_images else _synthesised(volumes, options)]
    images = subfolder(folder, IMAGE_FOLDERS)
    if masks and images and files_in(images, PICTURES):
        return [PictureMaskSource(folder, patient_pattern=options.patient_pattern)]
    return []


def _dicom(folder: Path, options: _Options) -> list[Source]:
    try:
        found = DicomSegSource(folder, planes=options.planes)
    except DatasetError:
        return []  # that there is none is the answer here
    return [found if found.has_images else _synthesised(found, options)]


def _synthesised(source: Source, options: _Options) -> Source:
    """``source`` with images: MR of heads, otherwise parts of a body with tissue around them."""
    seed = options.seed
    known = [anatomy.load().find(name) for name in source.entities]
    if any(entity is not None and entity.body_region == "brain" for entity in known):
        return SynthesisedSource(source, seed=seed)
    settings = SynthesisSettings(background_tissues=8, modality=Modality.OTHER)
    return SynthesisedSource(source, seed=seed, settings=settings)


def _is_nnunet(folder: Path) -> bool:
    described = folder / "dataset.json"
    return described.is_file() and (folder / "labelsTr").is_dir()


def _is_sa_med2d(folder: Path) -> bool:
    if any(folder.glob("SAMed2D*.json")):
        return True
    named = [path.stem.count("--") for path in files_in(folder / "masks", PICTURES)[:20]]
    return bool(named) and min(named) >= 4


def _looks_like_coco(path: Path) -> bool:
    """Whether a json begins as COCO's do: two of its members, whatever their order."""
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    return head.lstrip()[:1] == b"{" and sum(key in head for key in _COCO_KEYS) >= 2
