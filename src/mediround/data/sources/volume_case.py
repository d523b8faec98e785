"""A case that is a NIfTI volume with a label map on the same grid, cut into slices."""

from __future__ import annotations

import dataclasses
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
from mediround.imaging.image import MIN_SIDE, Modality
from mediround.imaging.nifti import read_nifti
from mediround.imaging.volume import Plane, Volume

_PLACE_TOLERANCE = 0.5
"""How far, in voxels, a corner of the labels may lie from that of the image: software rounds."""


@dataclass(frozen=True)
class LabelVolumeCase(Case):
    """A NIfTI label map, with or without an image.

    Attributes:
        label_path: the label map.
        table: what its values mean.
        image_path: the image on the same grid; None where there is only a label map.
        modality: how the image was made.
        planes: in which planes it is cut, in this order.
        axial_axes: the data set says that its axial slices show row 0 anterior and column 0 the
            patient's right, whatever the files say.
    """

    label_path: Path
    table: LabelTable
    image_path: Path | None
    modality: Modality = Modality.UNKNOWN
    planes: tuple[Plane, ...] = ("axial",)
    axial_axes: bool = False

    def label_volume(self) -> Volume:
        """The label map: voxels are unsigned integers, all known to the table if it is strict.

        Raises:
            InputError: the file is missing, damaged or no label map.
        """
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
        image = trusted(read_nifti(self.image_path, modality=self.modality))
        _check_same_grid(image, labels, self.image_path.name, self.label_path.name)
        yield from self.cut(image, labels.voxels)

    def cut(
        self, image: Volume, labels: NDArray[Any], *, synthetic: bool = False
    ) -> Iterator[LabelledSlice]:
        """The slices of ``image`` that show a structure.

        Args:
            image: the volume.
            labels: (I, J, K) checked values on its grid.
            synthetic: the image was made from the labels.

        Raises:
            CaseError: too thin in every plane.
        """
        for plane in _thick_enough(image, self.planes, self.name):
            infix = "" if plane == "axial" else f"_{plane}"
            for index in range(image.count(plane)):
                part = image.take(labels, index, plane)
                if not self.table.usable(present(part)):
                    continue
                shown = image.slice(index, plane)
                yield LabelledSlice(
                    dataset=self.dataset,
                    patient=self.patient,
                    name=f"{self.name}{infix}_{index}",
                    image=shown,
                    structures=self.table.structures(part),
                    names=self.table.names,
                    oriented=is_axial(shown) or (self.axial_axes and plane == "axial"),
                    plane=plane,
                    synthetic=synthetic,
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


def _thick_enough(image: Volume, planes: tuple[Plane, ...], name: str) -> list[Plane]:
    usable = [plane for plane in planes if min(image.shape_of(plane)) >= MIN_SIDE]
    if not usable:
        raise CaseError(
            f"the {', '.join(planes)} slices of {name} have {image.shape_of(planes[0])} pixels",
            expected=f"at least {MIN_SIDE} a side",
            remedy="choose another plane",
        )
    return usable


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
