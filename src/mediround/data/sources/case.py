"""The interface of every data set: cases that open themselves, and what is wrong with some."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mediround.data.sources.labelled_slice import LabelledSlice
from mediround.errors import CaseError, InputError
from mediround.imaging.image import Modality


@dataclass(frozen=True)
class Case(ABC):
    """One examination, picture or volume; small, so that it can be sent to another process.

    Attributes:
        dataset: name of the data set.
        name: unique in the data set.
        patient: splits never part a patient; for DICOM it is no identifier of a person.
    """

    dataset: str
    name: str
    patient: str

    def slices(self) -> Iterator[LabelledSlice]:
        """Opens the files and yields what shows at least one structure, in a fixed order.

        Raises:
            CaseError: a file is missing or damaged, image and labels differ in size or place, a
                label has no name. Nothing else is raised for what the files hold.
        """
        try:
            yield from self.read()
        except InputError as error:
            # The reason speaks of files; whoever reads a report also needs the case.
            found = f"{self.dataset}, case {self.name}: {error.found}"
            raise CaseError(
                found, expected=error.expected, remedy=error.remedy, case=self.name
            ) from error

    @abstractmethod
    def read(self) -> Iterator[LabelledSlice]:
        """What ``slices`` does, with the errors of whichever reader is at work.

        Raises:
            InputError: see ``slices``.
        """


class Source(Protocol):
    """A labelled data set; cheap to make, and it opens no image before a case is asked to."""

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of everything that the data set labels."""

    @property
    def modality(self) -> Modality:
        """How its images were made, UNKNOWN where that differs or is not said."""

    @property
    def licence(self) -> str:
        """As the data set states it; empty where it does not."""

    def cases(self) -> Iterator[Case]:
        """Every case in a fixed order, the unusable ones included: they say so when opened."""


@dataclass(frozen=True)
class BadCase:
    """A case that was passed over; belongs in the report of a build.

    Attributes:
        dataset: name of the data set.
        case: name of the case.
        reason: one line, with the names of the files.
    """

    dataset: str
    case: str
    reason: str


def readable(cases: Iterable[Case], report: Callable[[BadCase], None]) -> Iterator[LabelledSlice]:
    """The slices of all cases, one case in memory at a time; bad cases go to ``report``."""
    for case in cases:
        try:
            yield from case.slices()
        except CaseError as error:
            report(BadCase(case.dataset, case.name, str(error)))
