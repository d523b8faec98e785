"""Which drawn mask answers which target of one turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from mediround.evaluation.metrics import Overlap
from mediround.geometry import BoolMask


def assign(targets: Sequence[str], drawn: Sequence[str | None]) -> list[int | None]:
    """For each target's name the place of its mask among the ``drawn`` names, None for a miss.

    By name first; then what is left, in order. This is what later rounds build on: a person who
    reads the answer takes the mask that it calls by the name.
    """
    left = list(range(len(drawn)))
    found: list[int | None] = []
    for name in targets:
        same = next((place for place in left if drawn[place] == name), None)
        if same is not None:
            left.remove(same)
        found.append(same)
    return [place if place is not None else (left.pop(0) if left else None) for place in found]


def best_overlaps(targets: Sequence[BoolMask], drawn: Sequence[BoolMask]) -> list[Overlap]:
    """Each target's overlap under the one-to-one assignment with the largest sum of IoU.

    What the answer called them does not count: the set is judged, not its labels. A target
    without a partner has the overlap with an empty mask.
    """
    nothing = [Overlap.of(np.zeros_like(truth), truth) for truth in targets]
    if not targets or not drawn:
        return nothing
    table = [[Overlap.of(mask, truth) for mask in drawn] for truth in targets]
    gain = np.array([[each.iou for each in row] for row in table])
    for row, column in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
        nothing[row] = table[row][column]
    return nothing
