"""Relations between the structures of one image that single out exactly one of them.

A link says "this target is *the* structure that stands in this relation to these references". It
is emitted only when the masks leave no second candidate, by a clear margin: a reader who agrees
with the masks must agree with the answer. "Nearest" therefore means nearest among the labelled
structures; what a data set does not label cannot be known here.

Left, right, front and back are the patient's. They are read from the picture, and only when the
caller says how the patient lies in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

from mediround.anatomy import Atlas, Fact
from mediround.data.scene.link import FACT_KINDS, RESEGMENTING, Link, RelationKind
from mediround.data.scene.shape import (
    Shape,
    along_segment,
    clearly_between,
    distance,
    enclosed_share,
    gap,
    is_ahead,
    project,
    roughly_between,
    share_beyond,
)
from mediround.geometry import BoolMask

__all__ = ["DIRECTIONS", "FACT_KINDS", "RESEGMENTING", "Link", "RelationKind", "Scene", "stated"]

DIRECTIONS: Mapping[RelationKind, tuple[int, int]] = {
    RelationKind.LEFT_OF: (1, 0),
    RelationKind.RIGHT_OF: (-1, 0),
    RelationKind.IN_FRONT_OF: (0, -1),
    RelationKind.BEHIND: (0, 1),
}
"""Steps (x, y) in a radiological picture; the patient's left is the right of the picture."""

RADIOLOGICAL = "LP"
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "S": "I", "I": "S"}
TOWARDS: Mapping[str, RelationKind] = {
    "L": RelationKind.LEFT_OF,
    "R": RelationKind.RIGHT_OF,
    "A": RelationKind.IN_FRONT_OF,
    "P": RelationKind.BEHIND,
}
"""Directions of the patient, as letters; :mod:`mediround.data.scene.relations_wide` has S and I."""

SIZE_RATIO = 1.3  # areas closer than this look alike
CONE, LOOSE_CONE = 0.75, 1.6  # sideways distance allowed per unit ahead: 37 and 58 degrees
BEYOND = 0.8  # share of the target's pixels that lies past the reference's centre
ENCLOSED = 0.9  # share of a structure that must lie in the filled outline of another
TOUCH = 1.0  # pixels between two outlines that annotators leave between touching structures


def stated(fact: Fact, atlas: Atlas) -> Link:
    """The link that a fact makes, of one of :data:`FACT_KINDS`."""
    target = atlas[fact.subject]
    upstream = target if fact.kind == "flows_into" else atlas[fact.object]
    ends = upstream.media.get(fact.subject, ()) or upstream.media.get(fact.object, ())
    media = [("medium", medium) for medium in ends if medium in fact.phrase]
    terms = (("noun", target.noun), *media)
    return Link(RelationKind.FACT, (fact.object,), fact.subject, {}, fact.kind, terms)


class Scene:
    """All structures of one image, their distances, and the links among them.

    Args:
        masks: name -> bool mask (H, W), all of one shape; empty ones are left out.
        atlas: what is known of the structures; names that it does not know have no facts.
        oriented: the picture is an axial slice in radiological display.
        axes: where columns and rows lead in the patient, two letters of L R A P S I ("LP" is the
            radiological axial slice, "LI" a coronal one); overrides ``oriented``.
        spacing: (between rows, between columns) in millimetres, or None where it is unknown.

    Attributes:
        kept: whatever callers derive from the scene and want to derive once.

    Raises:
        ValueError: masks of several shapes, or axes that are no two directions of a patient.
    """

    def __init__(
        self,
        masks: Mapping[str, BoolMask],
        atlas: Atlas,
        *,
        oriented: bool,
        axes: str | None = None,
        spacing: tuple[float, float] | None = None,
    ) -> None:
        sizes = {mask.shape for mask in masks.values()}
        if len(sizes) > 1:
            raise ValueError(f"masks of one image have the shapes {sorted(sizes)}; expected one")
        measured = (Shape.of(name, mask) for name, mask in masks.items())
        self.shapes: dict[str, Shape] = {s.name: s for s in measured if s is not None}
        self.atlas = atlas
        self.axes = axes or (RADIOLOGICAL if oriented else None)
        self.spacing = spacing
        self.steps = steps_in_picture(self.axes)
        self.kept: dict[Hashable, Any] = {}
        self.margin = max(2.0, 0.01 * max((side for size in sizes for side in size), default=0))
        self._gaps = {
            frozenset((a.name, b.name)): gap(a, b) for a, b in combinations(self.shapes.values(), 2)
        }

    def gap(self, one: str, other: str) -> float:
        """Pixels between two outlines: 0 when they share an edge or overlap."""
        return self._gaps[frozenset((one, other))]

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every unambiguous link, grouped by kind in the order of :class:`RelationKind`."""
        found = [
            *self._identities(),
            *self._pairs(),
            *self._facts(),
            *self._sizes(),
            *self._between(),
        ]
        for reference in self.shapes.values():
            found.extend(self._neighbours(reference))
            found.extend(self._enclosures(reference))
            found.extend(self._directions(reference))
        order = {kind: place for place, kind in enumerate(RelationKind)}
        return tuple(sorted(found, key=lambda link: order[link.kind]))

    def _others(self, *names: str) -> list[Shape]:
        return [shape for shape in self.shapes.values() if shape.name not in names]

    def _identities(self) -> Iterable[Link]:
        for shape in self.shapes.values():
            evidence = {"area": float(shape.area)}
            yield Link(RelationKind.IDENTITY, (shape.name,), shape.name, evidence)

    def _pairs(self) -> Iterable[Link]:
        for name in self.shapes:
            known = self.atlas.find(name)
            if known is not None and known.pair in self.shapes and _two_sided(name, known.pair):
                yield Link(RelationKind.COUNTERPART, (name,), known.pair)

    def _facts(self) -> Iterable[Link]:
        """Facts of the atlas that hold between structures shown here and fit no other structure."""
        for name in self.shapes:
            known = self.atlas.find(name)
            if known is None:
                continue
            for fact in self.atlas.facts(name):
                if not fact.unique or fact.object not in self.shapes:
                    continue
                if fact.kind == "sibling":
                    yield Link(RelationKind.SIBLING, (fact.object,), name)
                elif fact.kind in FACT_KINDS:
                    yield stated(fact, self.atlas)

    def _sizes(self) -> Iterable[Link]:
        for a, b in combinations(self.shapes.values(), 2):
            large, small = (a, b) if a.area >= b.area else (b, a)
            if large.area < SIZE_RATIO * small.area:
                continue
            names = (a.name, b.name)
            evidence = {"ratio": large.area / small.area}
            yield Link(RelationKind.LARGER_OF, names, large.name, evidence)
            yield Link(RelationKind.SMALLER_OF, names, small.name, evidence)

    def _between(self) -> Iterable[Link]:
        for a, b in combinations(self.shapes.values(), 2):
            if not (a.compact and b.compact):
                continue
            near = [s for s in self._others(a.name, b.name) if roughly_between(s, a, b)]
            if len(near) == 1 and near[0].compact and clearly_between(near[0], a, b):
                along, aside = along_segment(near[0].centre, a.centre, b.centre)
                evidence = {"along": along, "aside": aside}
                yield Link(RelationKind.BETWEEN, (a.name, b.name), near[0].name, evidence)

    def _directions(self, reference: Shape) -> Iterable[Link]:
        for letter, kind in TOWARDS.items():
            step = self.steps.get(letter)
            ahead = None if step is None else self.next_towards(reference, step)
            if ahead is not None:
                yield Link(kind, (reference.name,), ahead[0], ahead[1])

    def next_towards(
        self, reference: Shape, step: tuple[int, int]
    ) -> tuple[str, dict[str, float]] | None:
        """The one structure next to ``reference`` along ``step`` (x, y), with the evidence."""
        if not reference.compact:
            return None
        ahead = [
            s for s in self._others(reference.name) if is_ahead(s, reference, step, LOOSE_CONE)
        ]
        target = self._clear_nearest(reference, ahead)
        if target is None or not lies_clearly(target, reference, step):
            return None
        forward = project(target.centre, reference.centre, step)[0]
        return target.name, {"forward": forward, "gap": self.gap(reference.name, target.name)}

    def _clear_nearest(self, reference: Shape, among: Sequence[Shape]) -> Shape | None:
        """The shape that is nearest both by outline, with a margin, and by centre."""
        if not among:
            return None
        ranked = sorted(among, key=lambda shape: self.gap(reference.name, shape.name))
        first = ranked[0]
        limit = self.gap(reference.name, first.name) + self.margin
        reach = distance(first.centre, reference.centre)
        for other in ranked[1:]:
            if self.gap(reference.name, other.name) < limit:
                return None
            if distance(other.centre, reference.centre) < reach:
                return None
        return first

    def _neighbours(self, reference: Shape) -> Iterable[Link]:
        others = self._others(reference.name)
        nearest = self._clear_nearest(reference, others)
        if nearest is not None:
            evidence = {"gap": self.gap(reference.name, nearest.name)}
            yield Link(RelationKind.NEAREST_TO, (reference.name,), nearest.name, evidence)
        close = [s for s in others if self.gap(reference.name, s.name) < TOUCH + self.margin]
        if len(close) == 1 and self.gap(reference.name, close[0].name) <= TOUCH:
            evidence = {"gap": self.gap(reference.name, close[0].name)}
            yield Link(RelationKind.TOUCHING, (reference.name,), close[0].name, evidence)

    def _enclosures(self, reference: Shape) -> Iterable[Link]:
        others = self._others(reference.name)
        measures: tuple[tuple[RelationKind, Callable[[Shape], float]], ...] = (
            (RelationKind.SURROUNDS, lambda shape: enclosed_share(reference, shape)),
            (RelationKind.INSIDE, lambda shape: enclosed_share(shape, reference)),
        )
        for kind, measure in measures:
            shares = {shape.name: measure(shape) for shape in others}
            partly = [name for name, share in shares.items() if share > 1 - ENCLOSED]
            if len(partly) == 1 and shares[partly[0]] >= ENCLOSED:
                evidence = {"share": shares[partly[0]]}
                yield Link(kind, (reference.name,), partly[0], evidence)


def lies_clearly(target: Shape, reference: Shape, step: tuple[int, int]) -> bool:
    """Whether everybody would say that ``target`` lies along ``step`` from ``reference``."""
    return (
        target.compact
        and is_ahead(target, reference, step, CONE)
        and share_beyond(target, reference, step) >= BEYOND
    )


def is_opposite(one: RelationKind, other: RelationKind) -> bool:
    """Whether both are directions and lead apart: left and right, front and back."""
    if not {one, other} <= set(DIRECTIONS):
        return False
    (x, y), back = DIRECTIONS[one], DIRECTIONS[other]
    return back == (-x, -y)


def steps_in_picture(axes: str | None) -> Mapping[str, tuple[int, int]]:
    """Direction of the patient -> step (x, y) in the picture; empty where nobody knows.

    Raises:
        ValueError: axes that are no two directions of a patient.
    """
    if axes is None:
        return {}
    if len(axes) != 2 or not set(axes) <= set(OPPOSITE) or axes[1] in (axes[0], OPPOSITE[axes[0]]):
        raise ValueError(f"axes are {axes!r}; expected two of L R A P S I that cross, such as 'LP'")
    column, row = axes[0], axes[1]
    return {column: (1, 0), OPPOSITE[column]: (-1, 0), OPPOSITE[row]: (0, -1), row: (0, 1)}


def _two_sided(name: str, other: str) -> bool:
    sides = {name.partition(" ")[0], other.partition(" ")[0]}
    return sides == {"left", "right"}
