"""Which image gets how many dialogues, in which split and shard; decided before any is written.

The plan follows from the images and the settings alone, so that workers cannot change it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mediround.data.building.journal import Spooled
from mediround.data.building.settings import BuildSettings, generator
from mediround.data.building.splits import split_by_patient
from mediround.errors import DatasetError


@dataclass(frozen=True)
class PlannedShard:
    """A shard: its images, each with the number of its dialogues."""

    split: str
    number: int
    images: tuple[tuple[Spooled, int], ...]

    @property
    def path(self) -> str:
        """Relative to the data set's folder."""
        return f"{self.split}/shard-{self.number:05d}.tar"


@dataclass(frozen=True)
class Plan:
    """All shards, and what was left out.

    Attributes:
        shards: in the order of splits and numbers.
        patients: split -> number of its patients.
        duplicates: slices whose pixels are those of an earlier one -> that one; left out.
        empty: slices without a structure that is large enough; left out.
        unused: images that got no dialogue, because there are more images than dialogues.
    """

    shards: tuple[PlannedShard, ...]
    patients: Mapping[str, int]
    duplicates: Mapping[str, str]
    empty: tuple[str, ...]
    unused: int


def plan(images: Sequence[Spooled], settings: BuildSettings) -> Plan:
    """Lay out a data set.

    A data set's dialogues are in proportion to (its images x their structures) to the power of
    ``settings.balance``; within it an image's are in proportion to its structures. Patients are
    split, stratified by entity; the images of a split are shuffled.

    Args:
        images: in the order of sources and cases.
        settings: see there.

    Raises:
        DatasetError: no image shows a structure that can be asked for.
    """
    usable, duplicates, empty = _distinct(images)
    if not usable:
        raise DatasetError(
            f"none of {len(images)} labelled slices shows a structure that can be asked for",
            expected=f"structures of {settings.mixture.min_pixels} pixels",
        )
    counts = _counts(usable, settings)
    entities: dict[str, set[str]] = defaultdict(set)
    for image in usable:
        entities[_patient(image)].update(image.entities)
    split_of = split_by_patient(entities, settings.split, settings.seed)
    shards: list[PlannedShard] = []
    patients: dict[str, int] = {}
    for split in settings.split:
        own = [i for i, image in enumerate(usable) if split_of[_patient(image)] == split]
        patients[split] = len({_patient(usable[i]) for i in own})
        order = generator(settings.seed, "order", split).permutation(len(own))
        drawn = [(usable[own[i]], counts[own[i]]) for i in order if counts[own[i]]]
        for number, group in enumerate(_groups(drawn, settings)):
            shards.append(PlannedShard(split, number, group))
    return Plan(tuple(shards), patients, duplicates, empty, counts.count(0))


def _patient(image: Spooled) -> str:
    return f"{image.dataset}/{image.patient}"


def _distinct(images: Sequence[Spooled]) -> tuple[list[Spooled], dict[str, str], tuple[str, ...]]:
    first: dict[str, str] = {}
    usable: list[Spooled] = []
    duplicates: dict[str, str] = {}
    empty: list[str] = []
    for image in images:
        name = f"{image.dataset}/{image.slice}"
        if image.key in first:
            duplicates[name] = first[image.key]
        elif not image.entities:
            empty.append(name)
        else:
            first[image.key] = name
            usable.append(image)
    return usable, duplicates, tuple(empty)


def _counts(images: Sequence[Spooled], settings: BuildSettings) -> list[int]:
    """Dialogues of each image; they add up to the number that was asked for."""
    totals: dict[str, int] = defaultdict(int)
    for image in images:
        totals[image.dataset] += len(image.entities)
    powers = {name: float(total) ** settings.balance for name, total in totals.items()}
    everything = sum(powers.values())
    share = {
        name: settings.dialogues * powers[name] / everything / total
        for name, total in totals.items()
    }
    # Rounding the running sum, not each share, keeps the total exact and spreads the remainders.
    counts: list[int] = []
    exact, given = 0.0, 0
    for image in images:
        exact += share[image.dataset] * len(image.entities)
        counts.append(round(exact) - given)
        given += counts[-1]
    counts[-1] += settings.dialogues - given
    return counts


def _groups(
    drawn: Sequence[tuple[Spooled, int]], settings: BuildSettings
) -> Iterator[tuple[tuple[Spooled, int], ...]]:
    group: list[tuple[Spooled, int]] = []
    dialogues = size = 0
    for image, count in drawn:
        full = dialogues + count > settings.shard_dialogues
        if group and (full or size + image.raw_bytes > settings.shard_bytes):
            yield tuple(group)
            group, dialogues, size = [], 0, 0
        group.append((image, count))
        dialogues += count
        size += image.raw_bytes
    if group:
        yield tuple(group)
