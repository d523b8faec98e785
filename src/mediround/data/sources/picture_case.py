"""A case that is one 2-D picture: with a label map, or with a file for each mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mediround.data.sources.case import Case
from mediround.data.sources.label_table import LabelTable
from mediround.data.sources.labelled_slice import LabelledSlice, Structure, present
from mediround.errors import CaseError
from mediround.geometry import BoolMask
from mediround.imaging.image import Image, Modality
from mediround.imaging.raster import read_mask, read_raster
from mediround.imaging.volume import Plane


@dataclass(frozen=True)
class PictureCase(Case):
    """A picture and a label map of the same size.

    Attributes:
        image_path: the picture.
        label_path: its label map, gray.
        table: what the values mean.
        modality: how the picture was made.
        axial_axes: row 0 is anterior and column 0 the patient's right.
    """

    image_path: Path
    label_path: Path
    table: LabelTable
    modality: Modality = Modality.UNKNOWN
    axial_axes: bool = False

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        labels = self._labels()
        if not self.table.usable(present(labels)):
            return
        image = read_raster(self.image_path, modality=self.modality)
        check_same_size(labels, image, self.label_path.name, self.image_path.name)
        yield LabelledSlice(
            dataset=self.dataset,
            patient=self.patient,
            name=self.name,
            image=image,
            structures=self.table.structures(labels),
            names=self.table.names,
            oriented=self.axial_axes,
            plane="axial" if self.axial_axes else None,
        )

    def _labels(self) -> NDArray[Any]:
        pixels = read_raster(self.label_path).pixels
        if pixels.ndim != 2:
            raise CaseError(
                f"{self.label_path.name} is a colour picture",
                expected="a gray label map, or one gray mask a structure",
                remedy="save the label values, not their colours",
            )
        return self.table.checked(pixels, self.label_path.name)


@dataclass(frozen=True)
class MaskFile:
    """One binary mask file.

    Attributes:
        path: 0 is background, any one other value the structure.
        label: number of its entity in the names of the case.
    """

    path: Path
    label: int


@dataclass(frozen=True)
class MaskFilesCase(Case):
    """A picture with one file for each structure or instance.

    Attributes:
        image_path: the picture.
        masks: its masks; empty files show nothing and are passed over.
        names: label -> canonical name, for everything that the data set labels.
        modality: how the picture was made.
        plane: the patient plane, None where unknown.
    """

    image_path: Path
    masks: tuple[MaskFile, ...]
    names: Mapping[int, str]
    modality: Modality = Modality.UNKNOWN
    plane: Plane | None = None

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        image = read_raster(self.image_path, modality=self.modality)
        structures: list[Structure] = []
        for each in self.masks:
            mask: BoolMask = read_mask(each.path)
            check_same_size(mask, image, each.path.name, self.image_path.name)
            if mask.any():
                structures.append(Structure(self.names[each.label], mask, each.label))
        if structures:
            yield LabelledSlice(
                dataset=self.dataset,
                patient=self.patient,
                name=self.name,
                image=image,
                structures=tuple(structures),
                names=self.names,
                oriented=False,
                plane=self.plane,
            )


def check_same_size(mask: NDArray[Any], image: Image, mask_name: str, image_name: str) -> None:
    """Refuse a mask that is not in the pixels of its image.

    Raises:
        CaseError: with both names and sizes.
    """
    if mask.shape != image.size:
        raise CaseError(
            f"{mask_name} has {mask.shape[1]} x {mask.shape[0]} pixels (width x height)",
            expected=f"{image.size[1]} x {image.size[0]} as {image_name}",
            remedy="resize neither: find the image that the mask was drawn on",
        )
