"""What the numbers of a label map mean, and what to do with numbers that mean nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround import anatomy
from mediround.data.sources.labelled_slice import Structure, present
from mediround.errors import CaseError, DatasetError

MAX_LABEL = 2**31 - 1
"""Largest value of a label; FreeSurfer's numbers have five digits."""


@dataclass(frozen=True)
class LabelTable:
    """Label values and their entities.

    Attributes:
        names: label -> canonical name. Two labels may share a name (instances).
        regions: label -> values that make it up, for entities that are unions of others and so
            overlap them; every other label stands for its own value alone.
        ignored: values without annotation: an image that holds one is left out, because what
            it shows and does not show is unknown.
        strict: refuse values that are not listed; otherwise they are background.
    """

    names: Mapping[int, str]
    regions: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    ignored: frozenset[int] = frozenset()
    strict: bool = True

    @cached_property
    def known(self) -> frozenset[int]:
        """Every value that may occur, background included."""
        members = (value for values in self.regions.values() for value in values)
        own = (label for label in self.names if label not in self.regions)
        return frozenset({0, *own, *members, *self.ignored})

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names in the order of the labels, each once."""
        return tuple(dict.fromkeys(self.names.values()))

    def checked(self, labels: NDArray[Any], file: str) -> NDArray[Any]:
        """``labels`` as unsigned integers of the smallest type, all of them known.

        Args:
            labels: any shape, at least one element.
            file: named in errors.

        Raises:
            CaseError: fractions, negative values, or values that the data set does not list.
        """
        whole = labels
        if labels.dtype.kind == "f":
            whole = labels.astype(np.int64)
            if not np.array_equal(whole, labels):
                raise CaseError(
                    f"{file} holds fractions, as if it had been resampled with interpolation",
                    expected="whole label values",
                )
        if labels.dtype.kind not in "biuf":
            raise CaseError(f"{file} holds values of type {labels.dtype}", expected="integers")
        low, high = int(whole.min()), int(whole.max())
        if low < 0 or high > MAX_LABEL:
            raise CaseError(f"{file} holds the label {low if low < 0 else high}", expected="0 …")
        small = whole.astype(np.min_scalar_type(high), copy=False)
        if self.strict:
            self._refuse_unknown(set(present(small)) - self.known, file)
        return small

    def usable(self, values: Collection[int]) -> bool:
        """Whether an image with these values shows an entity and is annotated everywhere."""
        return not self.ignored.intersection(values) and any(
            not self._members(label).isdisjoint(values) for label in self.names
        )

    def structures(self, labels: NDArray[Any]) -> tuple[Structure, ...]:
        """The structures of a checked label map (H, W), in the order of the table."""
        values = frozenset(present(labels))
        found: list[Structure] = []
        for label, name in self.names.items():
            members = self._members(label) & values
            if len(members) == 1:
                found.append(Structure(name, labels == next(iter(members)), label))
            elif members:
                found.append(Structure(name, np.isin(labels, sorted(members)), label))
        return tuple(found)

    def _members(self, label: int) -> frozenset[int]:
        return frozenset(self.regions.get(label, (label,)))

    def _refuse_unknown(self, unknown: Collection[int], file: str) -> None:
        if unknown:
            listed = ", ".join(str(value) for value in sorted(self.known)[:20])
            raise CaseError(
                f"{file} holds the label {', '.join(str(value) for value in sorted(unknown)[:5])}",
                expected=f"one of the listed values {listed}",
                remedy="add it to the list of labels, or correct the file",
            )


def canonical(name: str) -> str:
    """The atlas's name for what a data set calls ``name``, else a readable form of it.

    Underscores count as spaces: "kidney_left" and "Left-Kidney" are the left kidney.

    Raises:
        DatasetError: the name is blank.
    """
    plain = " ".join(name.replace("_", " ").split())
    if not plain:
        raise DatasetError("a label without a name", expected="a name for each label")
    known = anatomy.load().find(plain)
    if known is not None:
        return known.name
    # Title case belongs to tables; in a sentence only abbreviations keep their capitals.
    return " ".join(word.lower() if word.istitle() else word for word in plain.split())
