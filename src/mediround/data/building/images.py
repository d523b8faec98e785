"""First pass of a build: every labelled slice is decoded once, and kept as it will be shipped.

Cases are tasks; what comes back is small and in JSON, beside the PNG.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mediround.data.shards import StoredImage
from mediround.data.sources import Case, LabelledSlice, Source
from mediround.errors import MediRoundError

logger = logging.getLogger(__name__)

_TASKS = 64  # of a source, as long as a task stays below …
_LONGEST = 16  # … this many cases


@dataclass(frozen=True)
class CaseTask:
    """Some cases of one source.

    Attributes:
        source: place of the source in the list of sources.
        first: place of the first case in its source.
        cases: the cases.
        min_pixels: entities smaller than this do not count.
    """

    source: int
    first: int
    cases: tuple[Case, ...]
    min_pixels: int


@dataclass(frozen=True)
class PreparedImage:
    """One slice: its facts as JSON, its PNG, and what the plan needs to know of it.

    ``entities`` are those with enough pixels to be asked for; ``raw_bytes`` of the pixels.
    """

    key: str
    dataset: str
    patient: str
    slice: str
    modality: str
    entities: tuple[str, ...]
    raw_bytes: int
    facts: bytes
    png: bytes


@dataclass(frozen=True)
class PreparedCase:
    """What became of one case: images, or the reason why there are none."""

    source: int
    case: int
    dataset: str
    name: str
    images: tuple[PreparedImage, ...]
    reason: str | None = None


def case_tasks(
    sources: Sequence[Source], min_pixels: int, done: set[tuple[int, int]]
) -> Iterator[CaseTask]:
    """All cases of all sources, but those that are ``done``, in tasks of one source each."""
    for place, source in enumerate(sources):
        listed = enumerate(source.cases())
        open_cases = ((n, case) for n, case in listed if (place, n) not in done)
        yield from _grouped(place, open_cases, min_pixels)


def _grouped(source: int, cases: Iterator[tuple[int, Case]], min_pixels: int) -> Iterator[CaseTask]:
    given = 0
    while group := list(islice(cases, min(_LONGEST, 1 + given // _TASKS))):
        given += len(group)
        for first, run in _runs(group):
            yield CaseTask(source, first, run, min_pixels)


def _runs(group: list[tuple[int, Case]]) -> Iterator[tuple[int, tuple[Case, ...]]]:
    """Neighbouring numbers together, so that a task knows them all by its first."""
    start = 0
    for end in range(1, len(group) + 1):
        if end == len(group) or group[end][0] != group[end - 1][0] + 1:
            yield group[start][0], tuple(case for _, case in group[start:end])
            start = end


def prepare(task: CaseTask) -> list[PreparedCase]:
    """Decode the cases of a task; a case that cannot be used is told with its reason."""
    return [
        _prepare(task.source, number, case, task.min_pixels)
        for number, case in enumerate(task.cases, task.first)
    ]


def _prepare(source: int, number: int, case: Case, min_pixels: int) -> PreparedCase:
    try:
        images = tuple(_image(each, min_pixels) for each in case.slices())
    except MediRoundError as error:
        return PreparedCase(source, number, case.dataset, case.name, (), str(error))
    except Exception as error:
        # Files hold what no reader foresees; one of them must not end a build of thousands.
        logger.debug("unforeseen error in %s/%s", case.dataset, case.name, exc_info=True)
        told = f"{case.dataset}, case {case.name}: unforeseen {type(error).__name__}: {error}"
        return PreparedCase(source, number, case.dataset, case.name, (), told)
    return PreparedCase(source, number, case.dataset, case.name, images)


def _image(each: LabelledSlice, min_pixels: int) -> PreparedImage:
    stored, png = StoredImage.store(
        each.image,
        [(structure.entity, structure.mask) for structure in each.structures],
        dataset=each.dataset,
        patient=each.patient,
        slice=each.name,
        oriented=each.oriented,
        plane=each.plane,
        synthetic=each.synthetic,
    )
    sizes = {entity: int(np.count_nonzero(mask)) for entity, mask in each.masks().items()}
    return PreparedImage(
        key=stored.key,
        dataset=each.dataset,
        patient=each.patient,
        slice=each.name,
        modality=stored.modality.value,
        entities=tuple(sorted(name for name, size in sizes.items() if size >= min_pixels)),
        raw_bytes=each.image.pixels.nbytes,
        facts=stored.model_dump_json(exclude_none=True).encode(),
        png=png,
    )
