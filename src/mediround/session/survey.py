"""All structures that a model sees in an image, and how they lie to a given mask."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import log
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediround.data.scene.relations import (
    CONE,
    LOOSE_CONE,
    TOUCH,
    TOWARDS,
    steps_in_picture,
)
from mediround.data.scene.relations_wide import IN_PICTURE
from mediround.data.scene.shape import (
    Shape,
    along_segment,
    clearly_between,
    crosses,
    distance,
    gap,
    is_ahead,
    project,
    roughly_between,
    share_beyond,
)
from mediround.geometry import BoolMask
from mediround.model.deduction import GROUPS

_LETTERS = {kind.value: letter for letter, kind in TOWARDS.items()}
_IN_PICTURE = {kind.value: step for kind, step in IN_PICTURE.items()}
_LEAST = 8  # pixels of the image; fewer are nothing
_SAME = 0.5  # a structure that shares more of the smaller mask with a reference is that reference
_UNIT = 20.0  # lengths are counted in this part of the image's diagonal
_FARTHEST, _CROWD = 5.0, 3.0  # lengths and numbers of structures beyond these count no more
_ALONE = 0.3  # structures expected to be nearer, below which none is
_UNSEEN = -8.0  # log probability of what perception does not see beside a mask, at least


class _Placed(NamedTuple):
    """How a structure lies to a reference; see :meth:`Survey.evidence`."""

    roughly: bool
    clearly: bool
    along: float
    across: float
    beyond: float
    gap: float
    centres: float


class Survey:
    """What is where in one image.

    Args:
        names: the structures that it knows.
        masks: bool (structures, H, W).
        presence: float32 (structures,), 0..1: whether each is there.
        axes: where columns and rows lead in the patient ("LP" in a radiological axial slice); None
            where nobody knows.
    """

    def __init__(
        self, names: Sequence[str], masks: NDArray[np.bool_], presence: Tensor, axes: str | None
    ) -> None:
        self.names, self.masks, self.presence = names, masks, presence
        self.steps = steps_in_picture(axes)

    @cached_property
    def shapes(self) -> dict[int, Shape]:
        """Structures by their place among all, as far as something is seen."""
        measured = {
            place: Shape.of(self.names[place], mask)
            for place, mask in enumerate(self.masks)
            if mask.sum() >= _LEAST
        }
        return {place: shape for place, shape in measured.items() if shape is not None}

    def sees(self, relation: str) -> bool:
        """Whether masks can tell who stands in ``relation``."""
        return relation in GROUPS and (relation not in _LETTERS or _LETTERS[relation] in self.steps)

    def _step(self, relation: str) -> tuple[int, int] | None:
        """(x, y) where ``relation`` leads in the picture; None where it is no direction."""
        if relation in _LETTERS:
            return self.steps[_LETTERS[relation]]
        return _IN_PICTURE.get(relation)

    def evidence(
        self, relation: str, references: Sequence[BoolMask], beside: Tensor, left_out: set[int]
    ) -> tuple[list[int], Tensor]:
        """The candidates for one question, and what speaks for each.

        Args:
            relation: one that it :meth:`sees`.
            references: masks (H, W) in the image's pixels, none empty; two for "between".
            beside: log probabilities (entities,) of what perception sees in this relation to the
                first reference.
            left_out: structures that are no candidates.

        Returns:
            Places of the candidates among all structures, and float32 (candidates,
            EVIDENCE): log presence; roughly and clearly in this relation (0, 1); distance along
            and across the direction or, for "between", off the middle and off the line; share
            beyond the reference's centre or, for "between", whether the line crosses it; gap and
            distance of centres; how many structures are expected nearer by each of the two, and
            whether none is by gap; what perception sees. Lengths in twentieths of the diagonal.
        """
        shown = [shape for mask in references if (shape := Shape.of("", mask)) is not None]
        unit = float(np.hypot(*references[0].shape)) / _UNIT
        candidates = [
            place
            for place, shape in self.shapes.items()
            if place not in left_out and not any(_same(shape, other) for other in shown)
        ]
        placed = {
            each: self._placed(relation, self.shapes[each], shown, unit) for each in candidates
        }
        rows = [
            [
                log(float(self.presence[each]) + 1e-3),
                *placed[each],
                *self._nearer(each, placed),
                max(float(beside[each]), _UNSEEN),
            ]
            for each in candidates
        ]
        return candidates, torch.tensor(rows, dtype=torch.float32)

    def _nearer(self, which: int, placed: Mapping[int, _Placed]) -> tuple[float, float, float]:
        """Expected number of candidates nearer by gap and by centre, and whether none is by gap."""
        own = placed[which]
        rivals = [place for place, other in placed.items() if place != which and other.roughly]
        by_gap = sum(float(self.presence[n]) for n in rivals if placed[n].gap < own.gap)
        by_centre = sum(float(self.presence[n]) for n in rivals if placed[n].centres < own.centres)
        return min(by_gap, _CROWD), min(by_centre, _CROWD), float(by_gap < _ALONE)

    def _placed(self, relation: str, shape: Shape, shown: Sequence[Shape], unit: float) -> _Placed:
        first = shown[0]
        apart = min(gap(shape, first) / unit, _FARTHEST)
        centres = min(distance(shape.centre, first.centre) / unit, 2 * _FARTHEST)
        if relation == "between":
            along, aside = along_segment(shape.centre, first.centre, shown[1].centre)
            rough = roughly_between(shape, first, shown[1])
            clear = clearly_between(shape, first, shown[1])
            off, crossed = min(abs(along - 0.5), _FARTHEST), crosses(shape, first, shown[1])
            return _Placed(rough, clear, off, min(aside, _FARTHEST), crossed, apart, centres)
        step = self._step(relation)
        if step is None:
            return _Placed(True, apart * unit <= TOUCH, 0.0, 0.0, 0.0, apart, centres)
        forward, sideways = project(shape.centre, first.centre, step)
        return _Placed(
            is_ahead(shape, first, step, LOOSE_CONE),
            is_ahead(shape, first, step, CONE),
            float(np.clip(forward / unit, -2 * _FARTHEST, _FARTHEST)),
            min(sideways / unit, _FARTHEST),
            share_beyond(shape, first, step),
            apart,
            centres,
        )


def _same(shape: Shape, other: Shape) -> bool:
    shared = int((shape.mask & other.mask).sum())
    return shared > _SAME * min(shape.area, other.area)
