"""Cases that are volumes of labels, cut into slices; NIfTI images with label maps."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround.data.sources.case import Case
from mediround.data.sources.label_table import LabelTable
from mediround.data.sources.labelled_slice import LabelledSlice, is_axial, present
from mediround.errors import CaseError
from mediround.imaging.image import MIN_SIDE, Image, Modality
from mediround.imaging.nifti import read_nifti
from mediround.imaging.volume import Plane, Volume

_PLACE_TOLERANCE = 0.5
"""How far, in voxels, a corner of the labels may lie from that of the image: software rounds."""


@dataclass(frozen=True)
class VolumeCase(Case):
    """A volume of labels, with or without an image.

    Attributes:
        table: what the values mean.
        planes: in which planes it is cut, in this order.
    """

    table: LabelTable
    planes: tuple[Plane, ...]

    @abstractmethod
    def label_volume(self) -> Volume:
        """The labels: voxels are unsigned integers, all known to the table if it is strict.

        Raises:
            InputError: the file is missing, damaged or holds no labels.
        """

    def planes_of(self, volume: Volume) -> list[Plane]:
        """Those of ``planes`` in which ``volume`` is thick enough for an image.

        Raises:
            CaseError: none is.
        """
        usable = [plane for plane in self.planes if min(volume.shape_of(plane)) >= MIN_SIDE]
        if not usable:
            raise CaseError(
                f"{' and '.join(self.planes)} slices too thin for an image",
                expected=f"at least {MIN_SIDE} a side",
                remedy="choose another plane",
            )
        return usable


@dataclass(frozen=True)
class LabelVolumeCase(VolumeCase):
    """A NIfTI label map, with or without an image.

    Attributes:
        label_path: the label map.
        image_path: the image on the same grid; None where there is only a label map.
        modality: how the image was made.
        axial_axes: the data set says that its axial slices show row 0 anterior and column 0 the
            patient's right, whatever the files say.
    """

    label_path: Path
    image_path: Path | None
    modality: Modality = Modality.UNKNOWN
    axial_axes: bool = False

    def label_volume(self) -> Volume:
        """See ``VolumeCase.label_volume``."""
        stored = read_nifti(self.label_path, modality=Modality.OTHER)
        voxels = self.table.checked(stored.voxels, self.label_path.name)
        return trusted(dataclasses.replace(stored, voxels=voxels))

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        if self.image_path is None:
            raise CaseError(
                f"{self.label_path.name} has no image",
                expected="an image on the same grid",
                remedy="synthesise one from the label map",
            )
        labels = self.label_volume()
        known = None if self.modality is Modality.UNKNOWN else self.modality
        image = trusted(read_nifti(self.image_path, modality=known))
        _check_same_grid(image, labels, self.image_path.name, self.label_path.name)
        for plane in self.planes_of(image):
            for index, part in enumerate(image.stack(labels.voxels, plane)):
                if self.table.usable(present(part)):
                    yield self._slice(image.slice(index, plane), part, index, plane)

    def _slice(self, image: Image, labels: NDArray[Any], index: int, plane: Plane) -> LabelledSlice:
        infix = "" if plane == "axial" else f"_{plane}"
        return LabelledSlice(
            dataset=self.dataset,
            patient=self.patient,
            name=f"{self.name}{infix}_{index}",
            image=image,
            structures=self.table.structures(labels),
            names=self.table.names,
            oriented=is_axial(image) or (self.axial_axes and plane == "axial"),
            plane=plane,
        )


def trusted(volume: Volume) -> Volume:
    """``volume`` without orientation and spacing where its affine is a placeholder.

    Tools that lose the geometry write an identity matrix; NIfTI then claims a patient lying along
    the axes in voxels of 1 mm. An identity whose origin lies in the first voxels is no scanner's.
    """
    linear, origin = volume.affine[:3, :3], volume.affine[:3, 3]
    placeholder = np.array_equal(linear, np.eye(3)) and bool((np.abs(origin) <= 1).all())
    if not (placeholder and volume.orientation_known):
        return volume
    # A placeholder is still the agreed way to look at the grid, so slices stay as they were.
    return dataclasses.replace(volume, orientation_known=False, spacing_known=False)


def _check_same_grid(image: Volume, labels: Volume, image_name: str, label_name: str) -> None:
    if image.voxels.shape != labels.voxels.shape:
        raise CaseError(
            f"{label_name} has the shape {labels.voxels.shape}",
            expected=f"{image.voxels.shape} as {image_name}",
        )
    if not (image.orientation_known and labels.orientation_known):
        return
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float64)
    corners[:, :3] *= np.array(image.voxels.shape) - 1
    apart = np.abs(corners @ (image.affine - labels.affine).T)[:, :3].max()
    if apart > _PLACE_TOLERANCE * max(image.voxel_spacing):
        raise CaseError(
            f"{label_name} lies up to {apart:.1f} mm from {image_name}",
            expected="both on one grid",
            remedy="resample the labels to the image",
        )
