"""What was found wanting before it was opened: a case, or a data set among others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mediround.data.sources.case import Case
from mediround.data.sources.labelled_slice import LabelledSlice
from mediround.errors import InputError
from mediround.imaging.image import Modality


@dataclass(frozen=True)
class BrokenCase(Case):
    """Says so when it is opened, like every other bad case.

    Attributes:
        reason: what is wrong.
    """

    reason: InputError

    def read(self) -> Iterator[LabelledSlice]:
        """Raises ``reason`` before the first slice."""
        return self._no_slices()

    def _no_slices(self) -> Iterator[LabelledSlice]:
        raise self.reason


@dataclass(frozen=True)
class BrokenSource:
    """A data set that cannot be used, among others that can: one bad case of its own.

    Attributes:
        name: name of its folder.
        reason: what is wrong.
    """

    name: str
    reason: InputError
    entities: tuple[str, ...] = ()
    modality: Modality = Modality.UNKNOWN
    licence: str = ""

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``: one, which says what is wrong when it is opened."""
        yield BrokenCase(self.name, self.name, self.name, self.reason)
