"""Where the captions of a picture go: near what they name, never over each other if avoidable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mediround.geometry import BoolMask, Box, mask_to_box

_FAR, _COVERS_OTHERS, _COVERS_OWN, _OVERLAPS = 6.0, 1.2, 3.0, 100.0
"""What a place costs: distance, other masks hidden, its own mask hidden, other captions hit."""


@dataclass(frozen=True)
class Place:
    """A caption's place on the picture.

    Attributes:
        box: where it stands, in whole pixels of the picture.
        anchor: (x, y) of the pixel deepest inside the mask.
        short: only the number fits without covering another caption.
    """

    box: Box
    anchor: tuple[int, int]
    short: bool = False

    @property
    def leader(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """From the box to the anchor, both (x, y); None where the box lies on the anchor."""
        x, y = self.anchor
        near = (
            int(min(max(x, self.box.x0), self.box.x1 - 1)),
            int(min(max(y, self.box.y0), self.box.y1 - 1)),
        )
        return None if near == self.anchor else (near, self.anchor)


def place_captions(
    masks: Sequence[BoolMask],
    sizes: Sequence[tuple[tuple[int, int], tuple[int, int]]],
    taken: Sequence[Box] = (),
) -> list[Place]:
    """A place for each caption on a picture that shows ``masks``.

    Args:
        masks: bool (H, W) of the picture, none of them empty.
        sizes: for each mask (width, height) of the full caption, then of the short one.
        taken: boxes that other writing occupies.

    Returns:
        In the order of ``masks``; inside the picture. Full captions never overlap anything
        placed before them; where none fits the short one takes the least bad place.
    """
    if not masks:
        return []
    everything = _integral(np.logical_or.reduce(masks))
    occupied = list(taken)
    places: dict[int, Place] = {}
    # Small structures leave the fewest choices, so they choose first.
    for index in sorted(range(len(masks)), key=lambda i: int(masks[i].sum())):
        place = _place(masks[index], sizes[index], everything, occupied)
        places[index] = place
        occupied.append(place.box)
    return [places[index] for index in range(len(masks))]


def deepest(mask: BoolMask) -> tuple[int, int]:
    """(x, y) of the pixel of a non-empty ``mask`` (H, W) that is farthest from its outside."""
    box = mask_to_box(mask)
    assert box is not None
    rows, columns = box.slices()
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return columns.start + int(x), rows.start + int(y)


def _place(
    mask: BoolMask,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    everything: NDArray[np.int32],
    occupied: Sequence[Box],
) -> Place:
    anchor, own = deepest(mask), _integral(mask)
    for short, size in enumerate(sizes):
        x, y = _corners(mask.shape, size, anchor)
        overlap = sum((_common(x, y, size, box) for box in occupied), np.zeros(len(x)))
        if overlap.min() > 0 and not short:
            continue
        area = size[0] * size[1]
        hidden = _count(own, x, y, size)
        cost = (
            _FAR * _distance(x, y, size, anchor) / max(mask.shape)
            + _COVERS_OTHERS * (_count(everything, x, y, size) - hidden) / area
            + _COVERS_OWN * hidden / own[-1, -1]
            + _OVERLAPS * np.sign(overlap) * (1 + overlap)
        )
        best = int(cost.argmin())
        left, top = float(x[best]), float(y[best])
        return Place(Box(left, top, left + size[0], top + size[1]), anchor, bool(short))
    raise AssertionError("a short caption always finds a place")


def _corners(
    shape: tuple[int, ...], size: tuple[int, int], anchor: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upper left corners to choose from: a grid over the picture, and centred on the anchor."""
    step = max(2, size[1] // 3)
    last_x, last_y = max(0, shape[1] - size[0]), max(0, shape[0] - size[1])
    grid_y, grid_x = np.mgrid[0 : last_y + 1 : step, 0 : last_x + 1 : step]
    centred = (anchor[0] - size[0] // 2, anchor[1] - size[1] // 2)
    x = np.append(grid_x.ravel(), np.clip(centred[0], 0, last_x))
    y = np.append(grid_y.ravel(), np.clip(centred[1], 0, last_y))
    return x.astype(np.int64), y.astype(np.int64)


def _integral(mask: BoolMask) -> NDArray[np.int32]:
    return np.pad(mask.astype(np.int32).cumsum(0, np.int32).cumsum(1, np.int32), ((1, 0), (1, 0)))


def _count(
    integral: NDArray[np.int32],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    size: tuple[int, int],
) -> NDArray[np.int32]:
    """True pixels below each box, the part outside the picture left out."""
    right = np.minimum(x + size[0], integral.shape[1] - 1)
    bottom = np.minimum(y + size[1], integral.shape[0] - 1)
    counted: NDArray[np.int32] = (
        integral[bottom, right] - integral[y, right] - integral[bottom, x] + integral[y, x]
    )
    return counted


def _common(
    x: NDArray[np.int64], y: NDArray[np.int64], size: tuple[int, int], box: Box
) -> NDArray[np.float64]:
    """Area that boxes at (x, y) share with ``box``."""
    width = np.minimum(x + size[0], box.x1) - np.maximum(x, box.x0)
    height = np.minimum(y + size[1], box.y1) - np.maximum(y, box.y0)
    shared: NDArray[np.float64] = np.clip(width, 0, None) * np.clip(height, 0, None)
    return shared


def _distance(
    x: NDArray[np.int64], y: NDArray[np.int64], size: tuple[int, int], point: tuple[int, int]
) -> NDArray[np.float64]:
    across = np.maximum(np.maximum(x - point[0], point[0] - (x + size[0] - 1)), 0)
    down = np.maximum(np.maximum(y - point[1], point[1] - (y + size[1] - 1)), 0)
    return np.asarray(np.hypot(across, down))
