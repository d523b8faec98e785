"""How far outlines lie apart: normalised surface Dice and the 95 % Hausdorff distance, by MONAI.

The policy for misses, so that drawing nothing never improves a mean: a truth without a mask has a
surface Dice of 0 and a distance of the image's diagonal, the farthest that two pixels can be apart.
Masks are never left out. Two outlines are never farther apart than the diagonal either.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import hypot
from typing import Literal

import numpy as np

from mediround.geometry import BoolMask, mask_to_box

Unit = Literal["mm", "pixel"]

TOLERANCE = 2.0
"""Outlines this near agree: in mm where the pixel size is known, else in pixels."""


@dataclass(frozen=True, slots=True)
class Surface:
    """How two outlines agree.

    Attributes:
        nsd: share of both outlines that lies within ``TOLERANCE`` of the other, 0..1.
        distance: 95 % Hausdorff distance in ``unit``.
        relative: the same as a share of the image's diagonal, 0..1; comparable between images
            with and without known pixel size.
        unit: of ``distance`` and of the tolerance.
    """

    nsd: float
    distance: float
    relative: float
    unit: Unit

    @classmethod
    def of(
        cls,
        predicted: BoolMask | None,
        truth: BoolMask,
        spacing: tuple[float, float] | None = None,
    ) -> Surface:
        """Compare two masks.

        Args:
            predicted: bool (H, W), or None where nothing was drawn.
            truth: bool (H, W), not empty.
            spacing: millimetres between rows and between columns; None when unknown.

        Raises:
            ValueError: the truth is empty, or the shapes differ.
        """
        if not truth.any():
            raise ValueError("the true mask is empty; an outline needs at least one pixel")
        rows, columns = spacing or (1.0, 1.0)
        unit: Unit = "pixel" if spacing is None else "mm"
        diagonal = hypot(truth.shape[0] * rows, truth.shape[1] * columns)
        if predicted is None or not predicted.any():
            return cls(0.0, diagonal, 1.0, unit)
        if predicted.shape != truth.shape:
            raise ValueError(f"masks have the shapes {predicted.shape} and {truth.shape}")
        nsd, distance = _measure(predicted, truth, (rows, columns))
        return cls(nsd, distance, distance / diagonal, unit)


def _measure(
    predicted: BoolMask, truth: BoolMask, spacing: tuple[float, float]
) -> tuple[float, float]:
    # MONAI takes seconds to import; nobody but an evaluation pays for it.
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    box = mask_to_box(predicted | truth)
    assert box is not None  # both hold something
    rows, columns = box.slices()
    pair = [
        torch.from_numpy(np.pad(mask[rows, columns], 1).astype(np.float32))[None, None]
        for mask in (predicted, truth)
    ]
    with warnings.catch_warnings():
        # MONAI 1.6 warns about an argument that its own code passes.
        warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
        nsd = compute_surface_dice(
            *pair, class_thresholds=[TOLERANCE], include_background=True, spacing=list(spacing)
        )
        distance = compute_hausdorff_distance(
            *pair, include_background=True, percentile=95, spacing=list(spacing)
        )
    return float(nsd), float(distance)
