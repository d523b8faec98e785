"""Masks, boxes, crops and the way between an image and the model's square canvas.

Conventions: arrays are (rows, columns); points and boxes are (x, y) in pixels with the origin at
the outer corner of the first pixel, so a box is half-open: pixels x0 <= x < x1. A single pixel at
column 3 has the box (3, ., 4, .). Each step has an inverse.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pycocotools import mask as coco

BoolMask = NDArray[np.bool_]

LARGEST_MASK = 2**27
"""Most pixels of a mask that is decoded; a short code can claim any size."""
_LONGEST_RUN_BITS = 30


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open rectangle (x0, y0, x1, y1) in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"box {self.corners} is empty; expected x0 < x1 and y0 < y1")

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return (self.x0, self.y0, self.x1, self.y1)

    @property
    def width(self) -> float:
        """Extent along x in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Extent along y in pixels."""
        return self.y1 - self.y0

    def normalised(self, shape: tuple[int, int]) -> tuple[float, float, float, float]:
        """Corners as fractions (0..1) of an image of ``shape`` (rows, columns)."""
        rows, columns = shape
        return (self.x0 / columns, self.y0 / rows, self.x1 / columns, self.y1 / rows)

    @classmethod
    def from_normalised(
        cls, fractions: tuple[float, float, float, float], shape: tuple[int, int]
    ) -> Self:
        """Inverse of :meth:`normalised`."""
        rows, columns = shape
        x0, y0, x1, y1 = fractions
        return cls(x0 * columns, y0 * rows, x1 * columns, y1 * rows)

    def padded(self, fraction: float, shape: tuple[int, int]) -> Self:
        """Grown by ``fraction`` of its longer side on each edge; whole pixels inside ``shape``."""
        margin = fraction * max(self.width, self.height)
        rows, columns = shape
        return type(self)(
            max(0.0, float(math.floor(self.x0 - margin))),
            max(0.0, float(math.floor(self.y0 - margin))),
            min(float(columns), float(math.ceil(self.x1 + margin))),
            min(float(rows), float(math.ceil(self.y1 + margin))),
        )

    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the pixels inside, for a box of whole pixels."""
        return slice(int(self.y0), int(self.y1)), slice(int(self.x0), int(self.x1))


def mask_to_box(mask: BoolMask) -> Box | None:
    """The tight box round the true pixels of ``mask`` (H, W); None when there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def box_to_mask(box: Box, shape: tuple[int, int]) -> BoolMask:
    """The pixels of ``shape`` (H, W) whose centre lies inside ``box``."""
    x = np.arange(shape[1]) + 0.5
    y = np.arange(shape[0]) + 0.5
    inside_x = (x >= box.x0) & (x < box.x1)
    inside_y = (y >= box.y0) & (y < box.y1)
    return inside_y[:, None] & inside_x[None, :]


def encode_rle(mask: BoolMask) -> dict[str, Any]:
    """COCO compressed RLE ``{"size": [h, w], "counts": str}`` of a bool array (H, W)."""
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(n) for n in code["size"]], "counts": code["counts"].decode("ascii")}


def decode_rle(code: Mapping[str, Any]) -> BoolMask:
    """Inverse of :func:`encode_rle`.

    Raises:
        ValueError: the size is not positive or beyond ``LARGEST_MASK`` pixels, or the counts are
            not a code of runs that add up to height x width.
    """
    height, width = (int(n) for n in code["size"])
    if height < 1 or width < 1 or height * width > LARGEST_MASK:
        raise ValueError(f"RLE size is {height} x {width}; expected 1 to {LARGEST_MASK} pixels")
    runs = _runs(str(code["counts"]).encode("ascii", "replace"))
    if sum(runs) != height * width:
        raise ValueError(f"RLE runs do not add up to {height} x {width} pixels")
    lit = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(lit, runs).reshape(width, height).T)


def _runs(counts: bytes) -> list[int]:
    """Lengths of the runs of a COCO compressed code: off, on, off… down the columns.

    Each is a LEB128-like number; from the fourth on they are stored as differences to the last
    but one. Read here because pycocotools' decoder trusts what it gets: an unfinished number or a
    wrong total lets it leave its buffer.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts:
        symbol = byte - 48
        if not 0 <= symbol < 64:
            raise ValueError(f"RLE counts hold the byte {byte}; expected 48 to 111")
        if shift > _LONGEST_RUN_BITS:
            raise ValueError("RLE counts hold a run that is too long")
        value |= (symbol & 0x1F) << shift
        shift += 5
        if symbol & 0x20:
            continue
        if symbol & 0x10:
            value |= -1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise ValueError("RLE counts hold a negative run")
        runs.append(value)
        value = shift = 0
    if shift:
        raise ValueError("RLE counts end in the middle of a run")
    return runs


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a source image lies on the model's square canvas: crop, scale, pad right and bottom.

    Attributes:
        source: shape (rows, columns) of the source image.
        crop: whole-pixel box of the source that is shown to the model (the body, without table
            and air); what lies outside it is background by definition.
        canvas: side of the square canvas in pixels.
    """

    source: tuple[int, int]
    crop: Box
    canvas: int

    def __post_init__(self) -> None:
        rows, columns = self.source
        begins = min(self.crop.x0, self.crop.y0) >= 0
        inside = begins and self.crop.x1 <= columns and self.crop.y1 <= rows
        if not (inside and all(float(edge).is_integer() for edge in self.crop.corners)):
            raise ValueError(
                f"crop {self.crop.corners} of an image of {rows} x {columns} pixels; "
                "expected whole pixels inside it"
            )
        if self.canvas < 1:
            raise ValueError(f"canvas is {self.canvas}; expected at least 1")

    @classmethod
    def fit(cls, source: tuple[int, int], canvas: int, crop: Box | None = None) -> Self:
        """Place ``source`` or its part ``crop`` so that the longer side fills the canvas."""
        whole = Box(0.0, 0.0, float(source[1]), float(source[0]))
        return cls(source, crop or whole, canvas)

    @property
    def scale(self) -> float:
        """Canvas pixels for one source pixel."""
        return self.canvas / max(self.crop.width, self.crop.height)

    @property
    def shown(self) -> tuple[int, int]:
        """Rows and columns of the canvas that the crop covers; the rest is padding."""
        rows = max(1, round(self.crop.height * self.scale))
        columns = max(1, round(self.crop.width * self.scale))
        return rows, columns

    def to_canvas(self, array: NDArray[Any], *, nearest: bool = False) -> NDArray[Any]:
        """Crop, resize and zero-pad ``array`` (H, W) to (canvas, canvas).

        Bilinear with area support when shrinking, as float32, or bool for a bool array;
        ``nearest`` keeps the type and is for label maps.
        """
        part = array[self.crop.slices()]
        rows, columns = self.shown
        resized = _resize(part, (rows, columns), nearest=nearest)
        out = np.zeros((self.canvas, self.canvas), dtype=resized.dtype)
        out[:rows, :columns] = resized
        return out

    def to_source(self, logits: NDArray[np.floating[Any]], outside: float) -> NDArray[np.float32]:
        """Inverse of :meth:`to_canvas` for a map of any side (a mask at low resolution).

        Args:
            logits: (side, side) map over the whole canvas, any float dtype.
            outside: value for source pixels outside the crop.

        Returns:
            float32 map (H, W) over the source image, bilinear.
        """
        ratio = logits.shape[0] / self.canvas
        rows, columns = self.shown
        window = (0.0, 0.0, columns * ratio, rows * ratio)
        height, width = int(self.crop.height), int(self.crop.width)
        picture = PillowImage.fromarray(np.ascontiguousarray(logits, dtype=np.float32))
        part = picture.resize((width, height), PillowImage.Resampling.BILINEAR, box=window)
        out = np.full(self.source, outside, dtype=np.float32)
        out[self.crop.slices()] = np.asarray(part)
        return out

    def box_to_canvas(self, box: Box) -> Box:
        """A source box in canvas pixels."""
        sx = self.shown[1] / self.crop.width
        sy = self.shown[0] / self.crop.height
        return Box(
            (box.x0 - self.crop.x0) * sx,
            (box.y0 - self.crop.y0) * sy,
            (box.x1 - self.crop.x0) * sx,
            (box.y1 - self.crop.y0) * sy,
        )

    def box_to_source(self, box: Box) -> Box:
        """Inverse of :meth:`box_to_canvas`."""
        sx = self.shown[1] / self.crop.width
        sy = self.shown[0] / self.crop.height
        return Box(
            box.x0 / sx + self.crop.x0,
            box.y0 / sy + self.crop.y0,
            box.x1 / sx + self.crop.x0,
            box.y1 / sy + self.crop.y0,
        )


def _resize(array: NDArray[Any], shape: tuple[int, int], *, nearest: bool) -> NDArray[Any]:
    size = (shape[1], shape[0])
    if nearest:
        rows = ((np.arange(shape[0]) + 0.5) * array.shape[0] / shape[0]).astype(int)
        columns = ((np.arange(shape[1]) + 0.5) * array.shape[1] / shape[1]).astype(int)
        return array[np.ix_(rows, columns)]
    picture = PillowImage.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    resized = np.asarray(picture.resize(size, PillowImage.Resampling.BILINEAR))
    return resized >= 0.5 if array.dtype == np.bool_ else resized
