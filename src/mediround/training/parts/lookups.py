"""Made-up masks, whose surroundings are drawn by chance: only reading them leads to the answer.

In real images anatomy already says what mostly lies beside what, and few slices can ask for it.
Here every reference is written as perception would write it if it were certain, of structures that
never meet in a body; the questions are those of training. No image belongs to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from mediround import anatomy
from mediround.data.scene.link import Link, RelationKind
from mediround.data.scene.relations import is_opposite
from mediround.data.words import wording
from mediround.dialogue import Entity, Round
from mediround.model.surroundings import Surroundings
from mediround.training.parts.alignment import UNKNOWN, Alignment

SIZES = (RelationKind.LARGER_OF, RelationKind.SMALLER_OF)
_TWO = (*SIZES, RelationKind.BETWEEN)  # kinds with two references
_NAMED_SHARE = 0.3
_UNKNOWN_SHARE = 0.15
_NOISE = 0.35  # of a token, relative to the spread of word vectors


@dataclass(frozen=True)
class Imagined:
    """A mask: which entity it shows, its share of the canvas, and its neighbours by kind."""

    entity: int
    area: float
    around: tuple[int, ...]


@dataclass(frozen=True)
class Lookup:
    """One question about made-up masks, numbered from 1; its answer is entity ``target``."""

    kind: RelationKind
    round: Round
    references: tuple[Imagined, ...]
    target: int


class Lookups:
    """Draws lookups; equal generators draw equal ones.

    Args:
        entities: names; indices count in their order.
        kinds: of neighbours, as perception writes them.
    """

    def __init__(self, entities: Sequence[str], kinds: Sequence[str]) -> None:
        self.entities = tuple(entities)
        self.kinds = tuple(RelationKind(kind) for kind in kinds)
        self._facing = [(a, b) for a, b in permutations(self.kinds, 2) if is_opposite(a, b)]
        self._atlas = anatomy.load()

    def draw(self, count: int, rng: np.random.Generator) -> list[Lookup]:
        """``count`` of all kinds alike; those of two references twice as often: they are harder."""
        kinds = (*self.kinds, *SIZES, *SIZES, RelationKind.IDENTITY)
        if self._facing:
            kinds += (RelationKind.BETWEEN, RelationKind.BETWEEN)
        return [self._draw(kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]

    def _draw(self, kind: RelationKind, rng: np.random.Generator) -> Lookup:
        order = [int(n) for n in rng.permutation(len(self.entities))]
        drawn = order[: 1 + (kind in _TWO)]
        areas = 10 ** rng.uniform(-3, -0.7, len(drawn))
        while len(drawn) == 2 and max(areas) < 1.15 * min(areas):
            areas = 10 ** rng.uniform(-3, -0.7, len(drawn))
        if kind is RelationKind.BETWEEN:
            around = self._on_both_sides(order[2:], rng)
        else:
            around = [
                self._around([n for n in order if n != entity], kind, rng) for entity in drawn
            ]
        masks = tuple(
            Imagined(entity, float(area), near)
            for entity, area, near in zip(drawn, areas, around, strict=True)
        )
        if kind in SIZES:
            pick = max if kind is RelationKind.LARGER_OF else min
            target = pick(masks, key=lambda each: each.area).entity
        elif kind in self.kinds:
            target = masks[0].around[self.kinds.index(kind)]
        elif kind is RelationKind.BETWEEN:
            (target,) = {*masks[0].around} & {*masks[1].around} - {UNKNOWN}
        else:
            target = masks[0].entity
        return Lookup(kind, self._asked(kind, drawn, target, rng), masks, target)

    def _around(
        self, others: Sequence[int], asked: RelationKind, rng: np.random.Generator
    ) -> tuple[int, ...]:
        return tuple(
            UNKNOWN if kind is not asked and rng.random() < _UNKNOWN_SHARE else others[n]
            for kind, n in zip(
                self.kinds, rng.integers(len(others), size=len(self.kinds)), strict=True
            )
        )

    def _on_both_sides(
        self, others: Sequence[int], rng: np.random.Generator
    ) -> list[tuple[int, ...]]:
        """Neighbours of two masks: on facing sides the same one, and no other in common."""
        shared, half = others[0], 1 + len(others) // 2
        facing = self._facing[int(rng.integers(len(self._facing)))]
        around = []
        for side, pool in zip(facing, (others[1:half], others[half:]), strict=True):
            near = list(self._around(pool, side, rng))
            near[self.kinds.index(side)] = shared
            around.append(tuple(near))
        return around

    def _asked(
        self, kind: RelationKind, drawn: Sequence[int], target: int, rng: np.random.Generator
    ) -> Round:
        speaker = wording.Speaker("train", rng, self._atlas)
        named = bool(rng.random() < _NAMED_SHARE)
        link = Link(kind, tuple(self.entities[n] for n in drawn), self.entities[target])
        template = speaker.relation_template(link, named=named)
        number = len(drawn) + 1
        query = wording.fill(template, speaker.references(range(1, number)))
        name = self.entities[target]
        text = wording.answer([(name, number)]) if named else wording.answer_unnamed(number)
        mark = Entity.from_mask(number, np.ones((1, 1), bool), name=name)
        return Round(query=query, text=text, entities=(mark,))


def written(
    masks: Sequence[Imagined],
    alignment: Alignment,
    surroundings: Surroundings,
    generator: torch.Generator,
    *,
    surest: bool = False,
) -> Tensor:
    """Made-up masks -> (N, R, W), as :meth:`Perception.read` would write them, with its doubts.

    A neighbour that is not known is a token of no name. ``surest``: no neighbour is taken for
    another one.
    """
    sizes = surroundings.scale(torch.tensor([each.area for each in masks]))[:, None]
    own = alignment.words[torch.tensor([each.entity for each in masks])]
    around = torch.tensor([each.around for each in masks])
    known = (around != UNKNOWN)[..., None]
    sure = torch.rand(known.shape, generator=generator) * 0.7 + 0.3
    if surest:
        sure = torch.ones_like(sure)
    confused = torch.randint(len(alignment.meaning), around.shape, generator=generator)
    meant = sure * alignment.meaning[around] + (1 - sure) * alignment.meaning[confused]
    told = torch.cat([own, torch.where(known, meant, 0.0)], dim=1)
    noise = torch.randn(told.shape, generator=generator)
    return torch.cat([sizes, alignment.scale * (told + _NOISE * noise)], dim=1)
