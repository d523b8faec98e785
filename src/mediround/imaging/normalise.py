"""Stored pixels -> the canvas that a model looks at, and the way back for its masks.

What decided accuracy on CT is done here: a soft-tissue window, found automatically when a
picture has lost its Hounsfield units, and a crop to the body. The settings are part of the model
(:class:`mediround.config.NormalisationConfig`), the placement is kept to bring masks home.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mediround.config import NormalisationConfig
from mediround.geometry import BoolMask, Placement, mask_to_box
from mediround.imaging.image import Image, Modality

AIR_HU, TISSUE_HU = -1000.0, 50.0
BODY_HU = -300.0  # between air or lung and fat
EMPTIEST_AIR = 0.95
"""Part of what lies outside that has the very value of air, in a picture that may be raw CT: on
slices of abdomens 0.04 to 0.83, on a brain cut out of its head 1."""
MOST_BETWEEN = 0.45
"""Most pixels between -700 and -200 HU for one above, in raw CT: those of abdomens have 0.02 to
0.33, windowed for soft tissue they would have 0.5 to 2.4."""


@dataclass(frozen=True)
class Canvas:
    """An image as a model sees it.

    Attributes:
        pixels: float32 (3, side, side), 0..1, zero in the padding.
        placement: where the source image lies on it.
        method: how values were mapped: "window", "calibrated window" or "percentiles".
    """

    pixels: NDArray[np.float32]
    placement: Placement
    method: str


def normalise(image: Image, config: NormalisationConfig) -> Canvas:
    """Map ``image`` to values 0..1 and onto the canvas, by what is known of its modality."""
    gray = image.pixels.astype(np.float32)
    if gray.ndim == 3:
        gray = gray.mean(axis=2)
    calibrated = hounsfield(image, gray)
    if calibrated is not None:
        centre, width = config.ct_window
        values = (calibrated - centre) / width + 0.5
        foreground = body(calibrated > BODY_HU)
        method = "window" if image.unit == "HU" else "calibrated window"
    else:
        foreground = content(gray)
        low, high = np.percentile(gray[foreground], config.percentiles)
        values = (gray - low) / max(high - low, 1e-6)
        method = "percentiles"
    box = mask_to_box(foreground)
    crop = None if box is None else box.padded(config.margin, image.size)
    placement = Placement.fit(image.size, config.canvas, crop)
    if image.pixels.ndim == 3 and method == "percentiles":
        colour = (image.pixels.astype(np.float32) - low) / max(high - low, 1e-6)
        channels = [colour[..., index] for index in range(3)]
    else:
        channels = [values] * 3
    pixels = np.stack([placement.to_canvas(np.clip(c, 0, 1)) for c in channels])
    return Canvas(pixels.astype(np.float32), placement, method)


def hounsfield(image: Image, gray: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Hounsfield units of ``gray``: as stored, or calibrated if it looks like raw CT, or None.

    A picture made from CT over its full range shows air at its edges (nothing but padding is
    darker), few pixels at its maximum, and inside, fat and soft tissue close together compared
    with their distance from air; little lies between air and fat. A picture that was windowed
    for display before does not pass, and needs no calibration. What is only guessed to be CT is
    held to narrower limits: nor may all around it be empty, as it is around what was cut out.
    """
    if image.unit == "HU":
        return gray
    if image.modality not in (Modality.CT, Modality.UNKNOWN) or image.pixels.ndim == 3:
        return None
    most_spread, most_saturated = (0.3, 0.01) if image.modality is Modality.CT else (0.2, 6e-4)
    air, low, high = _air_level(gray), float(gray.min()), float(gray.max())
    inside = gray[gray > air + 0.25 * (high - air)]
    if inside.size:
        inside = gray[gray > air + 0.5 * (np.median(inside) - air)]
    if inside.size < 0.05 * gray.size:
        return None
    lower, upper, tissue = (float(p) for p in np.percentile(inside, [25, 75, 80]))
    contrast = tissue - air
    outside = gray[gray < air + 0.25 * contrast]
    emptiest = 1.0 if image.modality is Modality.CT else EMPTIEST_AIR
    darker_than_air = np.count_nonzero((gray > low) & (gray < air - 0.1 * contrast))
    saturated = np.count_nonzero(gray == high)
    dense = np.count_nonzero(gray >= air + 0.75 * contrast)
    between = np.count_nonzero(gray > air + 0.3 * contrast) - dense
    if (
        contrast <= 0.1 * (high - low)
        or upper - lower > most_spread * contrast
        or darker_than_air > 0.01 * gray.size
        or np.count_nonzero(outside == air) > emptiest * outside.size
        or saturated > most_saturated * gray.size
        or between > MOST_BETWEEN * dense
    ):
        return None
    return AIR_HU + (gray - air) * ((TISSUE_HU - AIR_HU) / contrast)


def _air_level(gray: NDArray[np.float32]) -> float:
    """The darkest of the four edges' middles: air even when a round field of view is padded."""
    rows, columns = gray.shape
    deep, wide = max(2, rows // 100), max(2, columns // 100)
    middle_rows = slice(int(rows * 0.45), int(rows * 0.55) + 1)
    middle_columns = slice(int(columns * 0.45), int(columns * 0.55) + 1)
    patches = (
        gray[deep : 4 * deep, middle_columns],
        gray[-4 * deep : -deep, middle_columns],
        gray[middle_rows, wide : 4 * wide],
        gray[middle_rows, -4 * wide : -wide],
    )
    return min(float(np.median(patch)) for patch in patches)


def body(dense: BoolMask) -> BoolMask:
    """The largest connected part of ``dense`` after thin structures (table, tubes) are cut off."""
    opened = ndimage.binary_opening(dense, iterations=max(1, min(dense.shape) // 100))
    labels, count = ndimage.label(opened)
    if count == 0:
        return np.ones_like(dense)
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(labels == 1 + int(sizes.argmax()))


def content(gray: NDArray[Any]) -> BoolMask:
    """Where a picture shows anything: above 5 % of its range over its darkest value."""
    low, high = float(gray.min()), float(np.percentile(gray, 99.5))
    found = gray > low + 0.05 * (high - low)
    return found if found.any() else np.ones(gray.shape, dtype=bool)
