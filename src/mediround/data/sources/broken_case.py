"""A case that was found wanting before it was opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mediround.data.sources.case import Case
from mediround.data.sources.labelled_slice import LabelledSlice
from mediround.errors import InputError


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
