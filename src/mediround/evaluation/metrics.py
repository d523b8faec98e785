"""How well masks agree: Dice and IoU of one mask, gIoU and cIoU of many.

The names follow generalised referring segmentation: gIoU is the mean of the masks' IoU, cIoU the
sum of all intersections over the sum of all unions. Two empty masks agree perfectly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mediround.geometry import BoolMask


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels that two masks share, and pixels that at least one of them has."""

    intersection: int
    union: int

    @classmethod
    def of(cls, predicted: BoolMask, truth: BoolMask) -> Overlap:
        """Compare two bool arrays (H, W) of one shape."""
        if predicted.shape != truth.shape:
            raise ValueError(f"masks have the shapes {predicted.shape} and {truth.shape}")
        both = int(np.count_nonzero(predicted & truth))
        return cls(both, int(np.count_nonzero(predicted | truth)))

    @property
    def dice(self) -> float:
        """Shared pixels over the mean of the two areas, 0..1; 1 when both are empty."""
        # The areas add up to intersection + union.
        total = self.intersection + self.union
        return 2 * self.intersection / total if total else 1.0

    @property
    def iou(self) -> float:
        """Intersection over union, 0..1; 1 when both are empty."""
        return self.intersection / self.union if self.union else 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Agreement over ``n`` masks; all three are 0..1, and None where ``n`` is 0."""

    n: int
    dice: float | None
    giou: float | None
    ciou: float | None

    @classmethod
    def over(cls, overlaps: Iterable[Overlap]) -> Scores:
        """Mean Dice, mean IoU, and cumulative IoU."""
        masks = list(overlaps)
        if not masks:
            return cls(0, None, None, None)
        together = Overlap(sum(m.intersection for m in masks), sum(m.union for m in masks))
        dice = sum(m.dice for m in masks) / len(masks)
        giou = sum(m.iou for m in masks) / len(masks)
        return cls(len(masks), dice, giou, together.iou)
