"""Label maps without images as a source: each case gets images made from its labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mediround.data.sources.case import Case, Source
from mediround.data.sources.labelled_slice import LabelledSlice, is_axial, present
from mediround.data.sources.volume_case import VolumeCase
from mediround.data.synthesis.volume import SynthesisSettings, SyntheticVolume
from mediround.errors import DatasetError
from mediround.imaging.image import Modality


@dataclass(frozen=True)
class SyntheticCase(Case):
    """A label volume of which images are made.

    Attributes:
        original: where the labels come from.
        settings: how the images are made.
        seed: with the names of data set and case it decides everything that is drawn.
    """

    original: VolumeCase
    settings: SynthesisSettings
    seed: int

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        labels, table = self.original.label_volume(), self.original.table
        for plane in self.original.planes_of(labels):
            made = SyntheticVolume(
                labels, table.names, self.settings, (self.seed, self.dataset, self.name), plane
            )
            infix = "" if plane == "axial" else f"_{plane}"
            for index in made.indices():
                values = made.labels_on(index)
                if table.usable(present(values)):
                    image = made.image_on(index)
                    yield LabelledSlice(
                        dataset=self.dataset,
                        patient=self.patient,
                        name=f"{self.name}{infix}_{index}",
                        image=image,
                        structures=table.structures(values),
                        names=table.names,
                        oriented=is_axial(image),
                        plane=plane,
                        synthetic=True,
                    )


class SynthesisedSource:
    """A source of label volumes with images made from them.

    Args:
        source: its cases must be label volumes (NIfTI or DICOM segmentations).
        seed: equal seeds give equal bytes.
        settings: how the images are made.
        repetitions: examinations made of each case, each with its own shape and contrast.
    """

    def __init__(
        self,
        source: Source,
        *,
        seed: int = 0,
        settings: SynthesisSettings | None = None,
        repetitions: int = 1,
    ) -> None:
        self.source, self.seed, self.repetitions = source, seed, repetitions
        self.settings = settings or SynthesisSettings()

    @property
    def name(self) -> str:
        """Name of the data set that is wrapped."""
        return self.source.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of the labels."""
        return self.source.entities

    @property
    def modality(self) -> Modality:
        """What the images claim to be."""
        return self.settings.modality

    @property
    def licence(self) -> str:
        """That of the label maps."""
        return self.source.licence

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``.

        Raises:
            DatasetError: a case of the source is no label volume.
        """
        for case in self.source.cases():
            if not isinstance(case, VolumeCase):
                raise DatasetError(
                    f"{case.name} of {self.name} is no label volume",
                    expected="NIfTI label maps or DICOM segmentations",
                )
            for number in range(self.repetitions):
                name = case.name if self.repetitions == 1 else f"{case.name}_v{number + 1}"
                own = replace(case, name=name)
                yield SyntheticCase(self.name, name, case.patient, own, self.settings, self.seed)
