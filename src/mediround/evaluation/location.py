"""Where a data set usually shows its structures: the floor under every segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediround.config import NormalisationConfig
from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.evaluation.selection import Chosen
from mediround.geometry import BoolMask, Placement
from mediround.imaging import Image
from mediround.imaging.normalise import normalise

THRESHOLDS = tuple(np.arange(0.1, 0.95, 0.1))
MOST_SLICES = 80


@dataclass(frozen=True)
class LocationPriors:
    """Usual places on the model's canvas, which follows the body, not the picture.

    Attributes:
        majority: name of the structure that most training slices show.
        places: name -> mask on the canvas.
    """

    majority: str
    places: dict[str, Rle]

    def draw(self, name: str, placement: Placement, *, named: bool) -> BoolMask:
        """The place of ``name`` (or, not ``named``, of the commonest structure), in pixels.

        A name that no training slice showed has no usual place: the mask is empty.
        """
        code = self.places.get(name if named else self.majority)
        if code is None:
            return np.zeros(placement.source, dtype=bool)
        field = code.decode().astype(np.float32) - 0.5
        return placement.to_source(field, -1.0) > 0


def placement_of(image: Image) -> Placement:
    """Where the body of ``image`` lies on the canvas of the priors."""
    return normalise(image, NormalisationConfig()).placement


def learn(chosen: Iterable[Chosen]) -> LocationPriors:
    """Usual places from labelled training slices.

    A place holds the pixels that belong to the structure in at least a share of the slices that
    show it; the share is the one with the best mean Dice on these slices.

    Raises:
        DatasetError: no slice shows anything.
    """
    seen: dict[str, list[BoolMask]] = {}
    for each in (labelled for case in chosen for labelled in case.read()):
        placement = placement_of(each.image)
        for name, mask in each.masks().items():
            if mask.any():
                seen.setdefault(name, []).append(placement.to_canvas(mask))
    if not seen:
        raise DatasetError("no training slice shows a structure", expected="at least one")
    majority = max(sorted(seen), key=lambda name: len(seen[name]))
    return LocationPriors(majority, {name: Rle.encode(_best(own)) for name, own in seen.items()})


def _best(masks: Sequence[BoolMask]) -> BoolMask:
    stack = np.stack(masks)
    share: NDArray[np.float64] = stack.mean(0)
    places = [share >= least for least in THRESHOLDS]
    return max(places, key=lambda place: _mean_dice(place, stack))


def _mean_dice(place: BoolMask, stack: NDArray[np.bool_]) -> float:
    both = (stack & place).sum((1, 2))
    return float(np.mean(2 * both / (stack.sum((1, 2)) + place.sum() + 1e-9)))
