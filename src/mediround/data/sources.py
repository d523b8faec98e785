"""Labelled data sets as a stream of slices: one reader a layout, one split by patient.

So far one layout: nnU-Net v2 raw (``imagesTr``, ``labelsTr``, ``dataset.json``), PNG or NIfTI.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mediround import anatomy
from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.imaging.image import Image, Modality
from mediround.imaging.nifti import read_nifti
from mediround.imaging.raster import read_raster

Split = Literal["train", "validation"]

_MODALITIES = (("CT", Modality.CT), ("MR", Modality.MR), ("ultrasound", Modality.US))
_PATIENT = re.compile(r"^(ABD_\d+|patient\d+|.+?)(?:_(?:frame)?\d+)?$")


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One 2-D image with its labels.

    Attributes:
        dataset: folder name of the data set.
        patient: whose image it is; splits never part a patient.
        name: case and slice, unique in the data set.
        image: the image, in the orientation in which people look at it.
        labels: (H, W) integers.
        names: label value -> canonical entity name.
        oriented: column 0 is known to be the patient's right and row 0 anterior.
    """

    dataset: str
    patient: str
    name: str
    image: Image
    labels: NDArray[Any]
    names: Mapping[int, str]
    oriented: bool

    def masks(self) -> dict[str, BoolMask]:
        """Entity name -> bool mask (H, W), for the labels that occur."""
        present = np.unique(self.labels)
        return {
            name: self.labels == value for value, name in self.names.items() if value in present
        }


class NnunetFolder:
    """An nnU-Net v2 raw data set folder.

    Args:
        folder: holds ``dataset.json``, ``imagesTr`` and ``labelsTr``.

    Raises:
        DatasetError: ``dataset.json`` is missing, unreadable or names no labels.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            described = json.loads((folder / "dataset.json").read_text())
            labels = {int(value): name for name, value in described["labels"].items()}
            channels = " ".join(described["channel_names"].values())
            self.ending: str = described["file_ending"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{folder.name}/dataset.json cannot be used ({type(error).__name__}: {error})",
                expected="an nnU-Net v2 raw folder with channel_names, labels and file_ending",
            ) from error
        self.names = {v: _canonical(name) for v, name in labels.items() if v != 0}
        self.modality = next((m for key, m in _MODALITIES if key in channels), Modality.UNKNOWN)
        self.oriented = "column 0 = patient right" in str(described.get("axes", ""))

    def cases(self) -> list[str]:
        """Case names, sorted."""
        found = sorted((self.folder / "labelsTr").glob(f"*{self.ending}"))
        return [path.name.removesuffix(self.ending) for path in found]

    def patients(self) -> list[str]:
        """Patients, sorted."""
        return sorted({patient_of(case) for case in self.cases()})

    def split_of(self, patient: str) -> Split:
        """The last fifth of the sorted patients is for validation: neighbours stay together."""
        everyone = self.patients()
        return "validation" if everyone.index(patient) >= len(everyone) * 4 // 5 else "train"

    def slices(self, split: Split) -> Iterator[LabelledSlice]:
        """Every axial slice of the split that shows at least one label."""
        everyone = self.patients()
        first_validation = len(everyone) * 4 // 5
        chosen = everyone[:first_validation] if split == "train" else everyone[first_validation:]
        wanted = set(chosen)
        for case in self.cases():
            if patient_of(case) in wanted:
                yield from self.read(case)

    def read(self, case: str) -> Iterator[LabelledSlice]:
        """The labelled slices of one case.

        Raises:
            DatasetError: image and labels differ in size.
        """
        image_path = self.folder / "imagesTr" / f"{case}_0000{self.ending}"
        label_path = self.folder / "labelsTr" / f"{case}{self.ending}"
        if self.ending == ".png":
            image = read_raster(image_path, modality=self.modality)
            yield self._slice(case, case, image, read_raster(label_path).pixels)
            return
        volume = read_nifti(image_path, modality=self.modality)
        labels = read_nifti(label_path, modality=Modality.OTHER).voxels
        if labels.shape != volume.voxels.shape:
            raise DatasetError(
                f"labels of {case} have shape {labels.shape}", expected=f"{volume.voxels.shape}"
            )
        for index in range(volume.count()):
            part = volume.take(labels, index)
            if part.any():
                yield self._slice(case, f"{case}_{index}", volume.slice(index), part)

    def _slice(self, case: str, name: str, image: Image, labels: NDArray[Any]) -> LabelledSlice:
        if labels.shape != image.size:
            raise DatasetError(
                f"labels of {case} have shape {labels.shape}", expected=f"{image.size}"
            )
        return LabelledSlice(
            self.folder.name, patient_of(case), name, image, labels, self.names, self.oriented
        )


def patient_of(case: str) -> str:
    """The patient in a case name: without a trailing slice, frame or time point number."""
    matched = _PATIENT.match(case)
    assert matched is not None
    head = matched.group(1)
    return head if head.startswith(("ABD_", "patient")) else case


def _canonical(name: str) -> str:
    known = anatomy.load().find(name)
    return name if known is None else known.name
