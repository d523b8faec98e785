"""One mask measured, and how two measured masks lie to each other.

All lengths are in pixels; points and directions are (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes, label
from scipy.spatial import cKDTree

from mediround.dialogue import Rle
from mediround.geometry import BoolMask, Box, mask_to_box

COMPACT = 0.8  # share of the largest piece from which a centre stands for the whole
SPECK, PIECE = 0.02, 0.08  # shares of the area below which a piece is noise, above which it counts
_ROUNDING = 1e-9  # pixels by which a centre on an edge may miss it; mirrored pictures round apart


@dataclass(frozen=True)
class Shape:
    """Measurements of one mask, in pixels.

    Attributes:
        name: whose mask it is.
        mask: bool (H, W), not empty.
        area: number of pixels.
        centre: mean pixel (x, y).
        box: the tight box, half-open.
        outline: float64 (n, 2), the (x, y) of the border pixels.
        holes: bool array of the box's shape, background closed in by the mask; None without any.
        compact: one piece holds most of the area, so that the centre stands for the whole.
    """

    name: str
    mask: BoolMask
    area: int
    centre: tuple[float, float]
    box: Box
    outline: NDArray[np.float64]
    holes: BoolMask | None
    compact: bool

    @classmethod
    def of(cls, name: str, mask: BoolMask) -> Shape | None:
        """Measure ``mask`` (bool, H x W); None when it is empty."""
        box = mask_to_box(mask)
        if box is None:
            return None
        part = mask[box.slices()]
        rows, columns = np.nonzero(part)
        edge = np.argwhere(part & ~binary_erosion(part)) + np.array([box.y0, box.x0])
        holes = binary_fill_holes(part) & ~part
        pieces, count = label(part)
        largest = rows.size if count == 1 else int(np.bincount(pieces.ravel())[1:].max())
        return cls(
            name=name,
            mask=mask,
            area=rows.size,
            centre=(float(columns.mean() + box.x0), float(rows.mean() + box.y0)),
            box=box,
            outline=edge[:, ::-1].astype(np.float64),
            holes=holes if holes.any() else None,
            compact=largest >= COMPACT * rows.size,
        )

    @cached_property
    def rle(self) -> Rle:
        """The mask as dialogues keep it; encoded once, however many dialogues mention it."""
        return Rle.encode(self.mask)

    @cached_property
    def tree(self) -> Any:
        """Finds the border pixel that is nearest to a point."""
        return cKDTree(self.outline)

    @cached_property
    def grown(self) -> BoolMask:
        """The mask inside its box widened by one pixel, and the pixels next to it."""
        part = np.pad(self.mask[self.box.slices()], 1)
        grown: BoolMask = binary_dilation(part, np.ones((3, 3), dtype=bool))
        return grown

    @cached_property
    def pieces(self) -> int | None:
        """Separate pieces that anybody would count; None when that is a matter of opinion."""
        numbered, _ = label(self.mask[self.box.slices()], np.ones((3, 3)))
        shares = np.bincount(numbered.ravel())[1:] / self.area
        if ((shares > SPECK) & (shares < PIECE)).any():
            return None
        return int((shares >= PIECE).sum())


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Euclidean distance of two points."""
    return hypot(one[0] - other[0], one[1] - other[1])


def gap(a: Shape, b: Shape) -> float:
    """Pixels between two outlines: 0 when they share an edge or overlap."""
    if _overlap(a, b):
        return 0.0
    many, few = (a, b) if len(a.outline) >= len(b.outline) else (b, a)
    distances, _ = many.tree.query(few.outline)
    return float(distances.min()) - 1.0


def _overlap(a: Shape, b: Shape) -> bool:
    """Whether two masks share a pixel; only the part that both boxes cover is looked at."""
    rows = slice(int(max(a.box.y0, b.box.y0)), int(min(a.box.y1, b.box.y1)))
    columns = slice(int(max(a.box.x0, b.box.x0)), int(min(a.box.x1, b.box.x1)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return False
    return bool((a.mask[rows, columns] & b.mask[rows, columns]).any())


def project(
    point: tuple[float, float], origin: tuple[float, float], step: tuple[int, int]
) -> tuple[float, float]:
    """Distance of ``point`` from ``origin`` ahead along ``step`` and sideways of it."""
    dx, dy = point[0] - origin[0], point[1] - origin[1]
    return dx * step[0] + dy * step[1], abs(dx * step[1] - dy * step[0])


def is_ahead(shape: Shape, reference: Shape, step: tuple[int, int], cone: float) -> bool:
    """Whether the centre of ``shape`` lies in a cone that opens along ``step``."""
    forward, sideways = project(shape.centre, reference.centre, step)
    return forward > 0 and sideways <= cone * forward + _ROUNDING


def share_beyond(shape: Shape, reference: Shape, step: tuple[int, int]) -> float:
    """Share of ``shape`` that lies past the centre of ``reference`` along ``step``, 0..1."""
    rows, columns = np.nonzero(shape.mask[shape.box.slices()])
    x, y = columns + shape.box.x0, rows + shape.box.y0
    ahead = (x - reference.centre[0]) * step[0] + (y - reference.centre[1]) * step[1]
    return float((ahead > 0).mean())


def along_segment(
    point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> tuple[float, float]:
    """Place of ``point`` along a segment (0 start, 1 end) and its distance aside / its length."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(hypot(dx, dy), 1e-9)
    px, py = point[0] - start[0], point[1] - start[1]
    return (px * dx + py * dy) / length**2, abs(px * dy - py * dx) / length**2


def crosses(shape: Shape, a: Shape, b: Shape, *, within: int = 0) -> bool:
    """Whether the line between two centres comes ``within`` pixels of ``shape``: 0 or 1."""
    count = 2 * int(distance(a.centre, b.centre)) + 2
    columns = np.rint(np.linspace(a.centre[0], b.centre[0], count)).astype(int)
    rows = np.rint(np.linspace(a.centre[1], b.centre[1], count)).astype(int)
    part = shape.grown if within else shape.mask[shape.box.slices()]
    x = columns - (int(shape.box.x0) - within)
    y = rows - (int(shape.box.y0) - within)
    inside = (x >= 0) & (x < part.shape[1]) & (y >= 0) & (y < part.shape[0])
    return bool(part[y[inside], x[inside]].any())


def roughly_between(shape: Shape, a: Shape, b: Shape) -> bool:
    """Whether somebody might say that ``shape`` lies between ``a`` and ``b``."""
    along, aside = along_segment(shape.centre, a.centre, b.centre)
    return (0.05 <= along <= 0.95 and aside <= 0.4) or crosses(shape, a, b, within=1)


def clearly_between(shape: Shape, a: Shape, b: Shape) -> bool:
    """Whether everybody would say so: amid the line between the centres, and crossed by it."""
    along, aside = along_segment(shape.centre, a.centre, b.centre)
    return 0.2 <= along <= 0.8 and aside <= 0.25 and crosses(shape, a, b)


def enclosed_share(inner: Shape, outer: Shape) -> float:
    """Share of ``inner`` that lies in the holes of ``outer``, 0..1."""
    if outer.holes is None:
        return 0.0
    return float((outer.holes & inner.mask[outer.box.slices()]).sum()) / inner.area
