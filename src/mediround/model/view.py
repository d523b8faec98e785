"""An image as a model looks at it, and the way between its pixels and the network's.

Which view belongs to a model follows from its kind of perception.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mediround.config import ClipPerceptionConfig, ModelConfig, NormalisationConfig, SamVitConfig
from mediround.errors import InputError
from mediround.geometry import BoolMask, Box, Placement
from mediround.imaging.image import Image
from mediround.imaging.normalise import content, hounsfield, normalise
from mediround.model.official.inputs import Picture, clip_pixels, sam_pixels
from mediround.model.official.postprocess import full_size
from mediround.model.official.reference import predicted_reference
from mediround.quirks import OfficialQuirks

Floats = NDArray[np.float32]


class View(Protocol):
    """One image, prepared for one model."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""

    @property
    def pixels(self) -> tuple[Floats, ...]:
        """What ``MediRound.see`` takes."""

    def mark(self, mask: BoolMask) -> tuple[Floats, ...]:
        """What ``MediRound.refer`` takes for a mask (H, W) of this image."""

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """Mask logits (N, side, side), N at least 1 -> (N, H, W) in the image's pixels."""


@dataclass(frozen=True)
class CanvasView:
    """The normalised image on one square canvas, whose cells are 4 x 4 pixels."""

    canvas: Floats
    placement: Placement

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.placement.source

    @property
    def pixels(self) -> tuple[Floats, ...]:
        """The canvas, (3, side, side), 0..1."""
        return (self.canvas,)

    def mark(self, mask: BoolMask) -> tuple[Floats, ...]:
        """Coverage of the cells, (side / 4, side / 4), 0..1."""
        canvas, cell = self.placement.to_canvas(mask), 4
        side = canvas.shape[0] // cell
        cells = canvas.reshape(side, cell, side, cell)
        return (cells.mean((1, 3), dtype=np.float32),)

    def corners(self, box: Box) -> Floats:
        """Where a box of the image lies: (2, 2), two corners, each (x, y) in 0..1 of the canvas.

        The upper left comes first. What lies outside the shown part of the image is cut off.

        Raises:
            InputError: nothing of the box is shown, or less than a pixel of the canvas.
        """
        rows, columns = self.placement.shown
        placed = np.array(self.placement.box_to_canvas(box).corners, np.float32).reshape(2, 2)
        shown = placed.clip(0, np.array([columns, rows], np.float32))
        if (shown[1] - shown[0]).min() < 1:
            raise InputError(
                "the box is too small, or lies beside the body",
                expected="a box round something that can be seen",
                remedy="draw it round a structure, or take it as a rectangle",
            )
        return (shown / self.placement.canvas).astype(np.float32)

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """(N, side, side) -> (N, H, W)."""
        outside = float(logits.min().clamp(max=-1.0))
        maps = [
            self.placement.to_source(each, outside) for each in logits.float().numpy(force=True)
        ]
        return np.stack(maps) > 0


@dataclass(frozen=True)
class PictureView:
    """The whole image in 8 bits, for SAM and for CLIP; a mask as a crop and a box."""

    picture: Picture
    sam: Floats
    clip: Floats
    shown: tuple[int, int]
    quirks: OfficialQuirks

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def pixels(self) -> tuple[Floats, ...]:
        """Those of SAM and those of CLIP, normalised."""
        return self.sam, self.clip

    def mark(self, mask: BoolMask) -> tuple[Floats, ...]:
        """The crop as CLIP reads it, and the box in 0..1.

        Raises:
            QueryError: the mask is empty.
        """
        side = self.clip.shape[-1]
        found = predicted_reference(self.picture, mask, side, self.quirks)
        if found is None:
            # In the official loop a failed update leaves the annotated mask; here is none.
            found = predicted_reference(self.picture, mask, side)
            assert found is not None  # without quirks it raises
        return found.pixels, found.box

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """(N, side, side) -> (N, H, W)."""
        full = full_size(logits.float(), self.sam.shape[-1], self.shown, self.size)
        return (full > 0).numpy(force=True)


def look(image: Image, config: ModelConfig) -> View:
    """``image`` as the model of this configuration looks at it."""
    return _VIEWS[config.perception.kind](image, config)


def eight_bit(image: Image, config: NormalisationConfig) -> Picture:
    """(H, W, 3) in 0..255: 8-bit pixels as they are, all else windowed or stretched.

    CT with or without Hounsfield units is shown in the model's window, everything else between
    two percentiles of its content.
    """
    pixels = image.pixels
    if pixels.dtype != np.uint8:
        values = pixels.astype(np.float32)
        gray = values if values.ndim == 2 else values.mean(axis=2)
        calibrated = hounsfield(image, gray)
        if calibrated is not None:
            centre, width = config.ct_window
            values = (calibrated - centre) / width + 0.5
        else:
            low, high = np.percentile(gray[content(gray)], config.percentiles)
            values = (values - low) / max(high - low, 1e-6)
        pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _canvas(image: Image, config: ModelConfig) -> View:
    made = normalise(image, config.normalisation)
    return CanvasView(made.pixels, made.placement)


def _picture(image: Image, config: ModelConfig) -> View:
    assert isinstance(config.vision, SamVitConfig)
    assert isinstance(config.perception, ClipPerceptionConfig)
    picture = eight_bit(image, config.normalisation)
    sam, shown = sam_pixels(picture, config.vision.side)
    clip = clip_pixels(picture, config.perception.side, config.quirks)
    return PictureView(picture, sam, clip, shown, config.quirks)


_VIEWS: Mapping[str, Callable[[Image, ModelConfig], View]] = {"grid": _canvas, "clip": _picture}
