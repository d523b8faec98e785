"""nnU-Net v2 raw folders: ``dataset.json``, ``imagesTr``, ``labelsTr``; PNG, TIFF or NIfTI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.label_table import LabelTable, canonical
from mediround.data.sources.modalities import modality_in
from mediround.data.sources.picture_case import PictureCase
from mediround.data.sources.volume_case import LabelVolumeCase
from mediround.errors import CaseError, DatasetError
from mediround.imaging.image import Modality
from mediround.imaging.volume import Plane

_PATIENT = re.compile(r"^(ABD_\d+|patient\d+|.+?)(?:_(?:frame)?\d+)?$")
_PICTURES, _VOLUMES = (".png", ".tif", ".tiff"), (".nii.gz", ".nii")
_RIGHT_FIRST = "column 0 = patient right"
_IGNORE = "ignore"


class NnunetSource:
    """An nnU-Net v2 raw data set.

    Labels that list several values (nnU-Net's regions) are entities that overlap their parts;
    "ignore" is no entity, and slices that hold it are left out.

    Args:
        folder: holds ``dataset.json`` and ``labelsTr``; ``imagesTr`` may be missing, its cases
            then have no image to cut and want synthesis.
        planes: in which planes volumes are cut.
        channel: which of the images of a case is used.
        modality: overrides what the channel's name says.
        strict: refuse label values that ``dataset.json`` does not list, where there are images.

    Raises:
        DatasetError: ``dataset.json`` is missing, unreadable, names no labels, or its file
            ending is not one of ours.
    """

    def __init__(
        self,
        folder: Path,
        *,
        planes: Sequence[Plane] = ("axial",),
        channel: int = 0,
        modality: Modality | None = None,
        strict: bool = True,
    ) -> None:
        self.folder = folder
        self.planes = tuple(planes)
        self.channel = channel
        try:
            described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
            names, regions, ignored = _labels(described["labels"])
            channels = {str(number): str(n) for number, n in described["channel_names"].items()}
            self.ending = str(described["file_ending"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{folder.name}/dataset.json cannot be used ({type(error).__name__}: {error})",
                expected="an nnU-Net v2 raw folder with channel_names, labels and file_ending",
            ) from error
        if self.ending not in (*_PICTURES, *_VOLUMES):
            raise DatasetError(
                f"{folder.name} has files ending in {self.ending!r}",
                expected=" or ".join((*_PICTURES, *_VOLUMES)),
                remedy="convert them",
            )
        # Without images, values that are not listed are tissues that synthesis draws.
        self.table = LabelTable(names, regions, ignored, strict and self.has_images)
        own = modality_in(channels.get(str(channel), ""))
        said = own if own is not Modality.UNKNOWN else modality_in(" ".join(channels.values()))
        self.modality = modality or said
        self.licence = str(described.get("licence") or described.get("license") or "")
        self.axial_axes = _RIGHT_FIRST in str(described.get("axes", ""))

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of the labels."""
        return self.table.entities

    @property
    def has_images(self) -> bool:
        """Whether there is a folder of images at all."""
        return (self.folder / "imagesTr").is_dir()

    def case_names(self) -> list[str]:
        """Names of the cases that have labels, sorted."""
        found = sorted((self.folder / "labelsTr").glob(f"*{self.ending}"))
        return [path.name.removesuffix(self.ending) for path in found]

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``; an image without labels is a bad case."""
        names = self.case_names()
        channel = f"_{self.channel:04}{self.ending}"
        images = (self.folder / "imagesTr").glob(f"*{channel}")
        unlabelled = {path.name.removesuffix(channel) for path in images} - set(names)
        for name in sorted({*names, *unlabelled}):
            if name not in unlabelled:
                yield self.case(name)
                continue
            reason = CaseError(
                f"{name}{channel} has no labels", expected=f"labelsTr/{name}{self.ending}"
            )
            yield BrokenCase(self.name, name, patient_of(name), reason)

    def case(self, name: str) -> LabelVolumeCase | PictureCase:
        """One case by name; nothing is opened."""
        label_path = self.folder / "labelsTr" / f"{name}{self.ending}"
        image_path = self.folder / "imagesTr" / f"{name}_{self.channel:04}{self.ending}"
        place = self.name, name, patient_of(name)
        if self.ending in _PICTURES:
            return PictureCase(
                *place, image_path, label_path, self.table, self.modality, self.axial_axes
            )
        found = image_path if self.has_images else None
        return LabelVolumeCase(
            *place, self.table, self.planes, label_path, found, self.modality, self.axial_axes
        )


def patient_of(case: str) -> str:
    """The patient in a case name: without a trailing slice, frame or time point number."""
    matched = _PATIENT.match(case)
    assert matched is not None
    head = matched.group(1)
    return head if head.startswith(("ABD_", "patient")) else case


def _labels(
    listed: Mapping[str, Any],
) -> tuple[dict[int, str], dict[int, tuple[int, ...]], frozenset[int]]:
    """Names, regions and ignored values of ``labels`` in a dataset.json."""
    single = {name: int(v) for name, v in listed.items() if not isinstance(v, list)}
    ignored = frozenset({single.pop(_IGNORE)} if _IGNORE in single else set())
    names = {value: canonical(name) for name, value in single.items() if value != 0}
    regions: dict[int, tuple[int, ...]] = {}
    members = {int(v) for each in listed.values() if isinstance(each, list) for v in each}
    free = max({0, *names, *members, *ignored}) + 1
    for name, values in listed.items():
        if isinstance(values, list):
            names[free], regions[free] = canonical(name), tuple(int(value) for value in values)
            free += 1
    return names, regions, ignored
