"""An image as a shard keeps it: a PNG, and all else that is known of it as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.imaging import Edges, Image, Modality, Plane
from mediround.imaging.png import decode_png, encode_png

KEY_LENGTH = 32
"""Hexadecimal digits of an image's hash that name it in a data set: 128 bits."""

_LARGEST_CODE = np.iinfo(np.uint16).max
Number = Literal[
    "uint8", "uint16", "uint32", "uint64",
    "int8", "int16", "int32", "int64",
    "float32", "float64",
]  # fmt: skip


class LabelledMask(BaseModel):
    """One labelled structure of an image; several may be of one entity, and they may overlap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str
    mask: Rle


class StoredImage(BaseModel):
    """What is known of an image besides its PNG.

    Attributes:
        key: the first 32 digits of ``sha256``; how files, records and indices call the image.
        sha256: `Image.content_hash` of the image that :meth:`image` returns.
        dataset, patient, slice: where it comes from; ``slice`` is unique in its data set.
        modality, unit, spacing, directions, window: see :class:`mediround.imaging.Image`.
        size: (height, width) in pixels.
        oriented: row 0 is anterior and column 0 the patient's right.
        plane: anatomical plane, None when unknown.
        synthetic: the pixels were made from labels.
        dtype: type of the pixels; value = PNG value * slope + intercept.
        structures: every labelled mask, asked for or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"^[0-9a-f]{32}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dataset: str
    patient: str
    slice: str
    modality: Modality
    unit: str | None = None
    spacing: tuple[float, float] | None = None
    directions: tuple[str, str, str, str] | None = None
    window: tuple[float, float] | None = None
    size: tuple[int, int]
    oriented: bool
    plane: Plane | None = None
    synthetic: bool = False
    dtype: Number = "uint8"
    slope: float = 1.0
    intercept: float = 0.0
    structures: tuple[LabelledMask, ...]

    @classmethod
    def store(
        cls, image: Image, structures: Sequence[tuple[str, BoolMask]], **facts: Any
    ) -> tuple[Self, bytes]:
        """Facts and PNG of an image.

        Integers with up to 65,536 different steps keep their exact values; others are rounded
        to 65,536 even steps, and the image that is hashed is the rounded one.

        Args:
            image: any.
            structures: (entity, bool mask (H, W)).
            facts: dataset, patient, slice, oriented, plane, synthetic.
        """
        codes, slope, intercept = _quantised(image.pixels)
        kept = _restored(codes, image.pixels.dtype, slope, intercept)
        digest = Image(pixels=kept).content_hash
        stored = cls(
            key=digest[:KEY_LENGTH],
            sha256=digest,
            modality=image.modality,
            unit=image.unit,
            spacing=image.spacing,
            directions=image.directions,
            window=image.window,
            size=image.size,
            dtype=cast(Number, image.pixels.dtype.name),
            slope=slope,
            intercept=intercept,
            structures=tuple(
                LabelledMask(entity=entity, mask=Rle.encode(mask)) for entity, mask in structures
            ),
            **facts,
        )
        return stored, encode_png(codes)

    def image(self, png: bytes) -> Image:
        """The image.

        Raises:
            ImageFileError: ``png`` cannot be decoded.
            DatasetError: it has another size.
        """
        codes = decode_png(png, f"{self.key}.png")
        if codes.shape[:2] != self.size:
            raise DatasetError(
                f"{self.key}.png has {codes.shape[0]} x {codes.shape[1]} pixels",
                expected=f"{self.size[0]} x {self.size[1]} as in {self.key}.image.json",
            )
        return Image(
            pixels=_restored(codes, np.dtype(self.dtype), self.slope, self.intercept),
            modality=self.modality,
            unit=self.unit,
            spacing=self.spacing,
            directions=None if self.directions is None else Edges(*self.directions),
            window=self.window,
        )

    def masks(self) -> dict[str, BoolMask]:
        """Entity -> union of its masks, bool (H, W), in the order of ``structures``."""
        found: dict[str, BoolMask] = {}
        for structure in self.structures:
            mask = structure.mask.decode()
            known = found.get(structure.entity)
            found[structure.entity] = mask if known is None else known | mask
        return found


def _quantised(pixels: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
    """Codes (uint8 or uint16; colour uint8), slope and intercept."""
    colour = pixels.ndim == 3
    largest = 255 if colour else _LARGEST_CODE
    low, high = pixels.min(), pixels.max()
    whole = pixels.dtype.kind != "f" or bool((pixels == np.rint(pixels)).all())
    # Python's integers, because a difference of int16 or uint64 may overflow.
    span = int(high) - int(low) if whole else float(high) - float(low)
    if whole and span <= largest and abs(int(low)) < 2**53:
        intercept = 0 if low >= 0 and high <= largest else int(low)
        codes = (pixels.astype(np.float64) - intercept) if intercept else pixels
        small = colour or int(high) - intercept <= 255
        return codes.astype(np.uint8 if small else np.uint16), 1.0, float(intercept)
    slope = float(span) / largest or 1.0  # one value everywhere needs no steps
    codes = np.rint((pixels.astype(np.float64) - float(low)) / slope)
    return codes.astype(np.uint8 if colour else np.uint16), slope, float(low)


def _restored(
    codes: NDArray[Any], dtype: np.dtype[Any], slope: float, intercept: float
) -> NDArray[Any]:
    if slope == 1.0 and intercept == 0.0:
        return codes.astype(dtype)
    values = codes.astype(np.float64) * slope + intercept
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
