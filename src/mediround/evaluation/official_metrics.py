"""gIoU, cIoU and Dice as the official evaluation reports them, round by round and over all.

The official loop adds small constants to every denominator and to the number of masks, and adds
up in float32, so that a perfect set of N masks scores N / (N + 1e-5) and two empty masks have
cIoU 0. With the quirk ``smoothed_metrics`` these numbers are reproduced; without it the same class
gives the exact ratios of :mod:`mediround.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mediround.evaluation.metrics import Overlap, Scores
from mediround.geometry import BoolMask
from mediround.quirks import OfficialQuirks

_IOU_MARGIN, _DICE_MARGIN, _CIOU_MARGIN, _COUNT_MARGIN = 1e-5, 1e-6, 1e-10, 1e-5


@dataclass
class OfficialMeter:
    """Adds up overlaps of a set of masks in their order.

    Attributes:
        quirks: of these, ``smoothed_metrics``.
    """

    quirks: OfficialQuirks = field(default_factory=OfficialQuirks)
    _overlaps: list[Overlap] = field(default_factory=list)

    def add(self, predicted: BoolMask, truth: BoolMask) -> None:
        """Count one pair of bool masks (H, W) of equal shape."""
        self._overlaps.append(Overlap.of(predicted, truth))

    def scores(self) -> Scores:
        """Of everything added so far."""
        if not self.quirks.smoothed_metrics or not self._overlaps:
            return Scores.over(self._overlaps)
        iou = dice = intersection = union = np.float32(0)
        for overlap in self._overlaps:
            intersection += np.float32(overlap.intersection)
            union += np.float32(overlap.union)
            iou += smoothed_iou(overlap)
            dice += smoothed_dice(overlap)
        n = len(self._overlaps)
        # The official mean is multiplied by n again before the padded count divides it.
        counted = n + _COUNT_MARGIN
        return Scores(
            n,
            dice=float(dice / np.float32(n) * np.float32(n)) / counted,
            giou=float(iou / np.float32(n) * np.float32(n)) / counted,
            ciou=float(intersection / (union + np.float32(_CIOU_MARGIN))),
        )


class OfficialScores:
    """One meter a round and one for all; rounds count from 0 and there may be any number."""

    def __init__(self, quirks: OfficialQuirks | None = None) -> None:
        self._quirks = quirks or OfficialQuirks()
        self._rounds: dict[int, OfficialMeter] = {}
        self._all = OfficialMeter(self._quirks)

    def add(self, place: int, predicted: BoolMask, truth: BoolMask) -> None:
        """Count one mask, answered in round ``place`` (from 0) of its dialogue."""
        self._rounds.setdefault(place, OfficialMeter(self._quirks)).add(predicted, truth)
        self._all.add(predicted, truth)

    def rounds(self) -> Mapping[int, Scores]:
        """Round -> its scores, for every round that has masks."""
        return {place: self._rounds[place].scores() for place in sorted(self._rounds)}

    def all(self) -> Scores:
        """Scores over the masks of all rounds."""
        return self._all.scores()

    def scalars(self) -> dict[str, float]:
        """Under the names that the official loop writes: ``val/giou_round_0``, ``val/dice_all``."""
        named = [(f"round_{place}", scores) for place, scores in self.rounds().items()]
        return dict(_scalars([*named, ("all", self.all())]))


def smoothed_iou(overlap: Overlap) -> np.float32:
    """Intersection over union plus 1e-5; 1 for two empty masks."""
    if overlap.union == 0:
        return np.float32(1)
    return np.float32(overlap.intersection) / (np.float32(overlap.union) + np.float32(_IOU_MARGIN))


def smoothed_dice(overlap: Overlap) -> np.float32:
    """Twice the intersection over both areas plus 1e-6; 1 for two empty masks."""
    if overlap.union == 0:
        return np.float32(1)
    areas = np.float32(overlap.intersection + overlap.union)
    return np.float32(2 * overlap.intersection) / (areas + np.float32(_DICE_MARGIN))


def _scalars(named: list[tuple[str, Scores]]) -> Iterator[tuple[str, float]]:
    for name, scores in named:
        for kind, value in (("giou", scores.giou), ("ciou", scores.ciou), ("dice", scores.dice)):
            if value is not None:
                yield f"val/{kind}_{name}", value
