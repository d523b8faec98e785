"""Who trains and who tests: splits by patient or by data set, and what leaks between them.

A patient is never parted: two slices of one body are nearly the same picture. Patients are dealt
so that every entity is in every split in proportion, the rarest first.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from mediround.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class Leak:
    """Something that two splits share.

    Attributes:
        kind: "patient" or "image".
        what: the patient, or the content hash of the image.
        splits: where it occurs, sorted.
    """

    kind: str
    what: str
    splits: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.what} is in {' and '.join(self.splits)}"


def split_by_patient(
    entities_of: Mapping[str, Collection[str]], shares: Mapping[str, float], seed: int = 0
) -> dict[str, str]:
    """Deal patients to splits, stratified by the entities that they show.

    The patients of the rarest entity are dealt first, each to the split that lacks this entity
    most; then those of the next. The order of the mapping does not matter.

    Args:
        entities_of: patient -> entities in his images; name patients "<data set>/<patient>" where
            several data sets are divided at once.
        shares: split -> wanted share, above 0; they are scaled to add up to 1.
        seed: decides between patients and splits that are alike.

    Returns:
        patient -> split. Where there are patients enough, no split is empty.

    Raises:
        ConfigError: no splits, or a share that is not a positive number.
    """
    wanted = _scaled(shares)
    patients = sorted(entities_of, key=lambda patient: _drawn(seed, patient))
    carriers: dict[str, list[str]] = defaultdict(list)
    for patient in patients:
        for entity in set(entities_of[patient]):
            carriers[entity].append(patient)
    dealt: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    have: dict[str, Counter[str]] = defaultdict(Counter)
    rarest_first = sorted(carriers, key=lambda entity: (len(carriers[entity]), entity))
    groups = [(carriers[entity], have[entity]) for entity in rarest_first]
    for everyone, count in [*groups, (patients, sizes)]:
        for patient in everyone:
            if patient in dealt:
                continue
            split = max(
                wanted,
                key=lambda name: (
                    wanted[name] * len(everyone) - count[name],
                    wanted[name] * len(patients) - sizes[name],
                    _drawn(seed, name),
                ),
            )
            dealt[patient] = split
            sizes[split] += 1
            for other in set(entities_of[patient]):
                have[other][split] += 1
    _fill_empty(dealt, wanted, seed)
    return {patient: dealt[patient] for patient in sorted(dealt)}


def cross_dataset(datasets: Collection[str], held_out: Collection[str]) -> dict[str, str]:
    """Data set -> "train" or "test": whole data sets are held out.

    Raises:
        DatasetError: a held-out data set that is not there, or nothing left to train on.
    """
    unknown = sorted(set(held_out) - set(datasets))
    if unknown:
        raise DatasetError(
            f"no data set is called {unknown[0]!r}",
            expected=f"one of {', '.join(sorted(datasets))}",
        )
    if set(held_out) == set(datasets):
        raise DatasetError("every data set is held out", expected="at least one to train on")
    return {name: "test" if name in held_out else "train" for name in sorted(datasets)}


def leaks(images: Iterable[tuple[str, str, str]]) -> list[Leak]:
    """Patients, and images with the same pixels, that are in more than one split.

    Args:
        images: (split, patient, content hash) of every image; see
            :attr:`mediround.imaging.image.Image.content_hash`. Patients of different data sets
            need different names.
    """
    where: dict[tuple[str, str], set[str]] = defaultdict(set)
    for split, patient, content in images:
        where["patient", patient].add(split)
        where["image", content].add(split)
    return [
        Leak(kind, what, tuple(sorted(splits)))
        for (kind, what), splits in sorted(where.items())
        if len(splits) > 1
    ]


def merged_by_content(images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Patients under one name who share an image, so that a split cannot part copies.

    Args:
        images: (patient, content hash) of every image.

    Returns:
        patient -> the first, in alphabetical order, of the patients that he is joined with.
    """
    first: dict[str, str] = {}
    owner: dict[str, str] = {}

    def root(patient: str) -> str:
        while first[patient] != patient:
            first[patient] = first[first[patient]]
            patient = first[patient]
        return patient

    for patient, content in images:
        first.setdefault(patient, patient)
        one, other = root(patient), root(owner.setdefault(content, patient))
        first[max(one, other)] = min(one, other)
    return {patient: root(patient) for patient in sorted(first)}


def _scaled(shares: Mapping[str, float]) -> dict[str, float]:
    bad = [name for name, share in shares.items() if not (isfinite(share) and share > 0)]
    if not shares or bad:
        found = f"the share of {bad[0]} is {shares[bad[0]]}" if bad else "no splits are asked for"
        raise ConfigError(found, expected="a positive share for every split, such as train=0.8")
    total = sum(shares.values())
    return {name: shares[name] / total for name in sorted(shares)}


def _drawn(seed: int, name: str) -> str:
    """A place in a random order that does not depend on who else is there."""
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _fill_empty(dealt: dict[str, str], wanted: Mapping[str, float], seed: int) -> None:
    """Small data sets: give every split somebody, from the largest one."""
    for name in sorted(wanted, key=lambda name: -wanted[name]):
        sizes = Counter(dealt.values())
        if sizes[name] or not sizes:
            continue
        largest = max(sorted(sizes), key=lambda split: sizes[split])
        if sizes[largest] > 1:
            movable = sorted(
                (patient for patient, split in dealt.items() if split == largest),
                key=lambda patient: _drawn(seed, patient),
            )
            dealt[movable[0]] = name
