"""One labelled image: a mask for each structure, which may overlap and come several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.imaging.image import Edges, Image
from mediround.imaging.volume import Plane

AXIAL = Edges(left="R", right="L", top="A", bottom="P")
"""The edges of an axial slice in radiological display."""


@dataclass(frozen=True, eq=False)
class Structure:
    """One labelled structure, or one instance of it.

    Attributes:
        entity: canonical name, or the data set's own where the atlas knows none.
        mask: (H, W) bool in the pixels of the image; never empty.
        label: the value or number under which the data set keeps the entity.
        crowd: the mask covers several instances that are not told apart.
    """

    entity: str
    mask: BoolMask
    label: int
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One 2-D image with its structures.

    Attributes:
        dataset: name of the data set.
        patient: whose image it is; splits never part a patient.
        name: case and slice, unique in the data set.
        image: the image, in the orientation in which people look at it.
        structures: what is labelled in it; masks may overlap, and an entity with several
            instances occurs several times.
        names: label -> canonical name, for everything that the data set labels.
        oriented: column 0 is known to be the patient's right and row 0 anterior.
        plane: the patient plane, None where it is not known.
        synthetic: the image was made from the labels.
    """

    dataset: str
    patient: str
    name: str
    image: Image
    structures: tuple[Structure, ...]
    names: Mapping[int, str]
    oriented: bool
    plane: Plane | None = None
    synthetic: bool = False

    @property
    def entities(self) -> tuple[str, ...]:
        """Everything that the data set labels, whether this image shows it or not."""
        return tuple(dict.fromkeys(self.names.values()))

    @property
    def labels(self) -> NDArray[np.int32]:
        """(H, W) label map: 0 where there is no structure.

        Raises:
            DatasetError: structures overlap, so that no single map can hold them.
        """
        merged = np.zeros(self.image.size, dtype=np.int32)
        for each in self.structures:
            if (merged[each.mask] > 0).any():
                raise DatasetError(
                    f"{each.entity} overlaps another structure in {self.name}",
                    expected="structures that one label map can hold",
                    remedy="use the masks of the slice instead",
                )
            merged[each.mask] = each.label
        return merged

    def masks(self) -> dict[str, BoolMask]:
        """Entity -> bool mask (H, W), all its instances together, for those that are shown."""
        joined: dict[str, BoolMask] = {}
        for each in self.structures:
            other = joined.get(each.entity)
            joined[each.entity] = each.mask if other is None else other | each.mask
        return joined

    def instances(self) -> dict[str, tuple[BoolMask, ...]]:
        """Entity -> its masks as the data set tells them apart; a label map does not.

        Entities with a crowd are left out: how many they are is not known.
        """
        found: dict[str, list[BoolMask]] = {}
        for each in self.structures:
            found.setdefault(each.entity, []).append(each.mask)
        uncounted = {each.entity for each in self.structures if each.crowd}
        return {e: tuple(masks) for e, masks in found.items() if e not in uncounted}


def is_axial(image: Image) -> bool:
    """Whether the image says that row 0 is anterior and column 0 the patient's right."""
    return image.directions == AXIAL


def present(labels: NDArray[Any]) -> list[int]:
    """The values that occur in an array of non-negative integers, sorted."""
    if labels.dtype.itemsize > 2:
        return [int(value) for value in np.unique(labels)]
    # A table of marks: sorting a volume would take seconds and copies of it.
    seen = np.zeros(int(np.iinfo(labels.dtype).max) + 1, dtype=np.bool_)
    seen[labels] = True
    return [int(value) for value in np.flatnonzero(seen)]
