"""The data sets that the images of a build come from: a source may hold several of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mediround.data.building.journal import Spooled
from mediround.data.sources import NnunetSource, SaMed2dSource, Source, SynthesisedSource
from mediround.imaging.image import Modality


@dataclass(frozen=True)
class Origin:
    """A data set whose images are in a build.

    Attributes:
        source: name of the source that holds it; its own, for most.
        modality: of its images, UNKNOWN where they differ.
        licence: as stated, may be empty.
        entities: canonical names of what it labels.
        complete: a structure that it labels and that an image has no mask of is truly not in that
            image.
    """

    source: str
    modality: Modality
    licence: str
    entities: tuple[str, ...]
    complete: bool


def origins(sources: Sequence[Source], images: Iterable[Spooled]) -> dict[str, Origin]:
    """Data set -> what is known of it, in the order of the sources.

    Args:
        sources: what was read.
        images: what came of it, in any order.
    """
    seen: dict[tuple[int, str], set[str]] = {}
    for image in images:
        seen.setdefault((image.order[0], image.dataset), set()).add(image.modality)
    found: dict[str, Origin] = {}
    for number, source in enumerate(sources):
        inner = _inner(source)
        names = sorted(dataset for place, dataset in seen if place == number) or [source.name]
        for name in names:
            modalities = seen.get((number, name), set())
            told = source.modality
            if name != source.name and len(modalities) == 1:
                told = Modality(next(iter(modalities)))
            entities = inner.get(name, source.entities)
            own = Origin(source.name, told, source.licence, entities, is_complete(source))
            found[name] = _joined(found[name], own) if name in found else own
    return found


def is_complete(source: Source) -> bool:
    """Whether a structure without a mask is truly absent: label maps label all of their names."""
    return isinstance(source, NnunetSource | SynthesisedSource)


def _inner(source: Source) -> Mapping[str, tuple[str, ...]]:
    """The data sets inside a source, with what each labels."""
    return source.parts if isinstance(source, SaMed2dSource) else {source.name: source.entities}


def _joined(one: Origin, other: Origin) -> Origin:
    """Two parts of one data set, held by two sources."""
    return Origin(
        one.source,
        one.modality if one.modality is other.modality else Modality.UNKNOWN,
        ", ".join(dict.fromkeys(text for text in (one.licence, other.licence) if text)),
        tuple(dict.fromkeys((*one.entities, *other.entities))),
        one.complete and other.complete,
    )
