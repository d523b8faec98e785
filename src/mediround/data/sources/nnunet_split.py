"""An nnU-Net folder with the fixed division of its patients that training and evaluation use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mediround.data.sources.labelled_slice import LabelledSlice
from mediround.data.sources.nnunet import NnunetSource, patient_of

Split = Literal["train", "validation"]


class NnunetFolder:
    """Axial slices of an nnU-Net v2 raw data set, the last fifth of its patients held out.

    Args:
        folder: holds ``dataset.json``, ``imagesTr`` and ``labelsTr``.

    Raises:
        DatasetError: see :class:`NnunetSource`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._source = NnunetSource(folder)
        self.names = self._source.table.names
        self.modality = self._source.modality
        self.oriented = self._source.axial_axes

    def cases(self) -> list[str]:
        """Case names, sorted."""
        return self._source.case_names()

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

        They are oriented only where ``dataset.json`` says so: released results were measured
        without trusting the affines of the volumes.

        Raises:
            CaseError: see ``Case.slices``.
        """
        for each in self._source.case(case).slices():
            yield dataclasses.replace(each, oriented=self.oriented)
