"""DICOM segmentation objects as cases, over the images that they were drawn on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mediround import anatomy
from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.label_table import LabelTable, canonical
from mediround.data.sources.labelled_slice import LabelledSlice, Structure, is_axial
from mediround.data.sources.picture_case import check_same_size
from mediround.data.sources.volume_case import VolumeCase
from mediround.errors import CaseError, DatasetError
from mediround.imaging.image import Edges, Modality
from mediround.imaging.volume import Plane, Volume

_PLANE_OF: Mapping[frozenset[str], Plane] = {
    frozenset("RLAP"): "axial",
    frozenset("RLSI"): "coronal",
    frozenset("APSI"): "sagittal",
}


@dataclass(frozen=True)
class DicomSegCase(VolumeCase):
    """One segmentation object.

    Its slices are the images that it names, in their stored orientation, sorted by position in
    the file. Without images it is a label volume for synthesis.

    Attributes:
        path: the segmentation.
        label_of: segment number -> label.
        images: SOP instance UID -> file.
        missing: how many of its images are not there.
    """

    path: Path
    label_of: Mapping[int, int]
    images: Mapping[str, Path]
    missing: int

    def label_volume(self) -> Volume:
        """See ``VolumeCase.label_volume``."""
        from mediround.imaging.dicom_seg import Segmentation

        found = Segmentation(self.path).volume()
        lookup = np.zeros(max((0, *self.label_of)) + 1, dtype=np.uint16)
        for number, label in self.label_of.items():
            lookup[number] = label
        return Volume(voxels=lookup[found.voxels], affine=found.affine, modality=Modality.OTHER)

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        from mediround.imaging.dicom import read_dicom
        from mediround.imaging.dicom_seg import Segmentation

        if self.missing or not self.images:
            raise CaseError(
                f"{self.missing} of the images of {self.path.name} are missing",
                expected="its series in the same folder or a subfolder",
                remedy="add the series, or synthesise images from the segmentation",
            )
        opened = Segmentation(self.path)
        for index, uid in enumerate(dict.fromkeys(opened.image_uids())):
            if uid not in self.images:
                raise CaseError(
                    f"a frame of {self.path.name} refers to an image that it does not list"
                )
            masks = [(number, mask) for number, mask in opened.masks_on(uid) if mask.any()]
            if not masks:
                continue
            image = read_dicom(self.images[uid])
            structures = []
            for number, mask in masks:
                check_same_size(mask, image, self.path.name, self.images[uid].name)
                label = self.label_of[number]
                structures.append(Structure(self.table.names[label], mask, label))
            yield LabelledSlice(
                dataset=self.dataset,
                patient=self.patient,
                name=f"{self.name}_{index}",
                image=image,
                structures=tuple(structures),
                names=self.table.names,
                oriented=is_axial(image),
                plane=_plane(image.directions),
            )


class DicomSegSource:
    """The segmentation objects of a folder and its subfolders.

    Segments are called by their label if the atlas knows it, else by their coded type. Cases and
    patients carry digests instead of identifiers; error messages name files.

    Args:
        folder: holds segmentations and the series that they were drawn on, in any arrangement.
        planes: in which planes label volumes without images are cut; images keep their own.

    Raises:
        DatasetError: there is no segmentation object.
    """

    licence = ""

    def __init__(self, folder: Path, *, planes: tuple[Plane, ...] = ("axial",)) -> None:
        from mediround.imaging.dicom_seg import find_segmentations

        self.folder, self.planes = folder, planes
        self._found, self._damaged = find_segmentations(folder)
        if not self._found:
            raise DatasetError(
                f"{folder.name} holds no DICOM segmentation", expected="at least one SEG object"
            )
        every = {_called(segment.names) for each in self._found for segment in each.segments}
        self.table = LabelTable(dict(enumerate(sorted(every), start=1)))

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of all segments."""
        return self.table.entities

    @property
    def modality(self) -> Modality:
        """UNKNOWN: each image says its own."""
        return Modality.UNKNOWN

    @property
    def has_images(self) -> bool:
        """Whether any of the images is there."""
        return any(each.images for each in self._found)

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``; files that cannot be read are bad cases."""
        label_of = {name: label for label, name in self.table.names.items()}
        for each in self._found:
            yield DicomSegCase(
                dataset=self.name,
                name=each.key,
                patient=each.patient,
                table=self.table,
                planes=self.planes,
                path=each.path,
                label_of={s.number: label_of[_called(s.names)] for s in each.segments},
                images=each.images,
                missing=each.missing,
            )
        for path, error in self._damaged:
            yield BrokenCase(self.name, f"damaged-{path.name}", f"damaged-{path.name}", error)


def _called(names: tuple[str, ...]) -> str:
    """The first name that the atlas knows, else the first one."""
    if not names:
        return "unnamed segment"
    known = next((name for name in names if anatomy.load().find(name.replace("_", " "))), names[0])
    return canonical(known)


def _plane(directions: Edges | None) -> Plane | None:
    if directions is None:
        return None
    return _PLANE_OF.get(frozenset(directions))
