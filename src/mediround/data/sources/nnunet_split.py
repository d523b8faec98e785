"""An nnU-Net folder with the fixed division of its patients that training and evaluation use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mediround.data.sources.case import Case
from mediround.data.sources.labelled_slice import LabelledSlice
from mediround.data.sources.nnunet import NnunetSource
from mediround.data.sources.synthesised import SynthesisedSource
from mediround.data.synthesis.volume import SynthesisSettings

Split = Literal["train", "validation"]


class NnunetFolder:
    """Axial slices of an nnU-Net v2 raw data set, the last fifth of its patients held out.

    Args:
        folder: holds ``dataset.json``, ``imagesTr`` and ``labelsTr``.
        synthesis: how images are made of the labels, which stand alone; None reads images.
        repetitions: examinations made of each label map.

    Raises:
        DatasetError: see :class:`NnunetSource`.
    """

    def __init__(
        self, folder: Path, synthesis: SynthesisSettings | None = None, repetitions: int = 1
    ) -> None:
        self.folder = folder
        source = NnunetSource(folder)
        self.names = source.table.names
        if synthesis is None:
            self.modality, self.oriented = source.modality, source.axial_axes
            self._cases: dict[str, Case] = {name: source.case(name) for name in source.case_names()}
        else:
            made = SynthesisedSource(source, settings=synthesis, repetitions=repetitions)
            self.modality, self.oriented = made.modality, True  # the label map says where it lies
            self._cases = {case.name: case for case in made.cases()}

    def cases(self) -> list[str]:
        """Case names, sorted."""
        return sorted(self._cases)

    def patients(self) -> list[str]:
        """Patients, sorted."""
        return sorted({case.patient for case in self._cases.values()})

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
        for name in self.cases():
            if self._cases[name].patient in wanted:
                yield from self.read(name)

    def read(self, case: str) -> Iterator[LabelledSlice]:
        """The labelled slices of one case.

        They are oriented only where ``dataset.json`` says so: released results were measured
        without trusting the affines of the volumes.

        Raises:
            CaseError: see ``Case.slices``.
        """
        for each in self._cases[case].slices():
            yield dataclasses.replace(each, oriented=self.oriented)
