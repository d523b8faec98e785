"""Further relations that single out one structure, beyond those of the default mixture.

Kept apart because the default mixture, on which numbers were published, must go on drawing what
it drew. The rule is the same: a link is emitted only when no second candidate comes near.
Directions "in the picture" are for pictures of which nobody knows how the patient lies in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations, pairwise

from mediround.data.scene.relations import SIZE_RATIO, Scene
from mediround.data.scene.shape import Shape


class WideKind(StrEnum):
    """How a target follows from its references."""

    ABOVE = "above"
    BELOW = "below"
    PICTURE_LEFT = "picture_left"
    PICTURE_RIGHT = "picture_right"
    PICTURE_ABOVE = "picture_above"
    PICTURE_BELOW = "picture_below"
    FARTHEST_FROM = "farthest_from"
    LARGEST_OF = "largest_of"
    SMALLEST_OF = "smallest_of"
    NTH_FROM_TOP = "nth_from_top"
    PART_OF = "part_of"
    WHOLE_OF = "whole_of"


RANKING = frozenset({WideKind.LARGEST_OF, WideKind.SMALLEST_OF, WideKind.NTH_FROM_TOP})
"""Kinds that choose among three references: the target already has a number."""

CRANIAL = {"S": WideKind.ABOVE, "I": WideKind.BELOW}
IN_PICTURE: Mapping[WideKind, tuple[int, int]] = {
    WideKind.PICTURE_LEFT: (-1, 0),
    WideKind.PICTURE_RIGHT: (1, 0),
    WideKind.PICTURE_ABOVE: (0, -1),
    WideKind.PICTURE_BELOW: (0, 1),
}
ORDINALS = ("first", "second", "third")
FARTHER = 1.25  # ratio of distances from which everybody agrees which structure is farther
HIGHER = 0.03  # difference of heights, in image heights, from which everybody agrees
MOSTLY_INSIDE = 0.9  # share of a part that its whole must cover where both are labelled


@dataclass(frozen=True)
class WideLink:
    """``target`` is the only structure that stands in ``kind`` to ``references``.

    Attributes:
        kind: the relation.
        references: names of the referenced structures, none twice; their order says nothing.
        target: name of the structure that answers.
        evidence: the numbers that decided.
        terms: what the words say besides: the target's noun, an ordinal.
    """

    kind: WideKind
    references: tuple[str, ...]
    target: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The kind, as rounds record it."""
        return self.kind.value

    @property
    def question(self) -> tuple[WideKind, tuple[tuple[str, str], ...]]:
        """All that the words can tell."""
        return self.kind, self.terms


def wide_links(scene: Scene) -> Iterator[WideLink]:
    """Every unambiguous link of one reference; see :func:`rankings` for those of three."""
    for reference in scene.shapes.values():
        yield from _directions(scene, reference)
        yield from _farthest(scene, reference)
        yield from _parts(scene, reference)


def rankings(scene: Scene, names: Sequence[str]) -> Iterator[WideLink]:
    """Links that choose among three of ``names``: the largest, the smallest, the n-th from top."""
    for triple in combinations(sorted(set(names)), 3):
        key = ("ranking", triple)
        if key not in scene.kept:
            scene.kept[key] = tuple(_ranked(scene, triple))
        yield from scene.kept[key]


def _ranked(scene: Scene, triple: tuple[str, ...]) -> Iterator[WideLink]:
    shapes = [scene.shapes[name] for name in triple]
    by_area = sorted(shapes, key=lambda shape: shape.area)
    small, middle, large = (shape.area for shape in by_area)
    if large >= SIZE_RATIO * middle:
        ratio = {"ratio": large / middle}
        yield WideLink(WideKind.LARGEST_OF, triple, by_area[2].name, ratio)
    if middle >= SIZE_RATIO * small:
        ratio = {"ratio": middle / small}
        yield WideLink(WideKind.SMALLEST_OF, triple, by_area[0].name, ratio)
    yield from _heights(triple, shapes)


def _heights(triple: tuple[str, ...], shapes: Sequence[Shape]) -> Iterator[WideLink]:
    if not all(shape.compact for shape in shapes):
        return
    ranked = sorted(shapes, key=lambda shape: shape.centre[1])
    least = HIGHER * shapes[0].mask.shape[0]
    steps = [b.centre[1] - a.centre[1] for a, b in pairwise(ranked)]
    if min(steps) < least:
        return
    for ordinal, shape in zip(ORDINALS, ranked, strict=True):
        terms = (("ordinal", ordinal),)
        evidence = {"y": shape.centre[1]}
        yield WideLink(WideKind.NTH_FROM_TOP, triple, shape.name, evidence, terms)


def _directions(scene: Scene, reference: Shape) -> Iterable[WideLink]:
    steps: Mapping[WideKind, tuple[int, int]] = (
        IN_PICTURE
        if scene.axes is None
        else {
            kind: scene.steps[letter] for letter, kind in CRANIAL.items() if letter in scene.steps
        }
    )
    for kind, step in steps.items():
        ahead = scene.next_towards(reference, step)
        if ahead is not None:
            yield WideLink(kind, (reference.name,), ahead[0], ahead[1])


def _farthest(scene: Scene, reference: Shape) -> Iterable[WideLink]:
    others = [shape for shape in scene.shapes.values() if shape is not reference]
    if len(others) < 2:
        return
    gaps = sorted((scene.gap(reference.name, shape.name), shape.name) for shape in others)
    (second, _), (first, name) = gaps[-2:]
    if first >= FARTHER * second + scene.margin:
        yield WideLink(WideKind.FARTHEST_FROM, (reference.name,), name, {"gap": first})


def _parts(scene: Scene, whole: Shape) -> Iterable[WideLink]:
    """Part and whole, where a data set labels both and the masks agree with the book."""
    parts = [
        shape
        for shape in scene.shapes.values()
        if scene.atlas.find(shape.name) is not None and whole.name in _wholes(scene, shape.name)
    ]
    inside = {part.name: float((part.mask & whole.mask).sum()) / part.area for part in parts}
    covered = [name for name, share in inside.items() if share >= MOSTLY_INSIDE]
    if len(parts) == 1 and covered:
        part = parts[0].name
        evidence = {"inside": inside[part]}
        yield WideLink(WideKind.PART_OF, (whole.name,), part, evidence)
    for part in covered:
        if sum(name in scene.shapes for name in _wholes(scene, part)) == 1:
            yield WideLink(WideKind.WHOLE_OF, (part,), whole.name, {"inside": inside[part]})


def _wholes(scene: Scene, name: str) -> tuple[str, ...]:
    return scene.atlas.wholes(name)
