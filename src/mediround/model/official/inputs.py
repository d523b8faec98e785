"""Pixels as the official code shows them to CLIP and to SAM; numpy and Pillow only."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.quirks import OfficialQuirks

Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the fraction 0..1 of full brightness, for red, green and blue."""

SAM_MEAN = (123.675, 116.28, 103.53)
SAM_STD = (58.395, 57.12, 57.375)
"""Of the brightness 0..255."""


def clip_picture(rgb: Picture, side: int = 336, quirks: OfficialQuirks | None = None) -> Picture:
    """``rgb`` as a square of ``side`` pixels, resized bicubically.

    The whole picture is seen: where it is not square, it lies in the middle of a square of CLIP's
    mean colour. The quirk ``clip_centre_crop`` cuts off the ends of the longer side instead.

    Args:
        rgb: (H, W, 3).
        side: of the result, in pixels.
        quirks: of these, ``clip_centre_crop`` and ``thin_crop_is_channels_first``.

    Returns:
        uint8 (side, side, 3).
    """
    quirks = quirks or OfficialQuirks()
    if quirks.thin_crop_is_channels_first and rgb.shape[0] == 3:
        rgb = rgb.transpose(1, 2, 0)
    if not quirks.clip_centre_crop:
        rgb = _squared(rgb)
    rows, columns = rgb.shape[:2]
    short = min(rows, columns)
    shape = (side * rows // short, side * columns // short)
    resized = _resized(rgb, shape, PillowImage.Resampling.BICUBIC)
    top, left = ((length - side) // 2 for length in shape)
    return resized[top : top + side, left : left + side]


def clip_pixels(
    rgb: Picture, side: int = 336, quirks: OfficialQuirks | None = None
) -> NDArray[np.float32]:
    """What CLIP reads of ``rgb``: :func:`clip_picture`, normalised; float32 (3, side, side)."""
    return _normalised(clip_picture(rgb, side, quirks), CLIP_MEAN, CLIP_STD, 255.0)


def sam_pixels(rgb: Picture, side: int = 1024) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """What SAM reads of ``rgb``: its longer side resized bilinearly, normalised, zeros behind.

    Args:
        rgb: (H, W, 3).
        side: of the result, in pixels.

    Returns:
        float32 (3, side, side), and the (rows, columns) of it that show the picture.
    """
    scale = side / max(rgb.shape[:2])
    shape = (int(rgb.shape[0] * scale + 0.5), int(rgb.shape[1] * scale + 0.5))
    resized = _resized(rgb, shape, PillowImage.Resampling.BILINEAR)
    pixels = np.zeros((3, side, side), np.float32)
    pixels[:, : shape[0], : shape[1]] = _normalised(resized, SAM_MEAN, SAM_STD, 1.0)
    return pixels, shape


def _squared(rgb: Picture) -> Picture:
    rows, columns = rgb.shape[:2]
    if rows == columns:
        return rgb
    long = max(rows, columns)
    square = np.empty((long, long, 3), np.uint8)
    square[:] = np.round(np.array(CLIP_MEAN) * 255)
    top, left = (long - rows) // 2, (long - columns) // 2
    square[top : top + rows, left : left + columns] = rgb
    return square


def _resized(rgb: Picture, shape: tuple[int, int], how: PillowImage.Resampling) -> Picture:
    picture = PillowImage.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(picture.resize((shape[1], shape[0]), how))


def _normalised(
    rgb: Picture, mean: tuple[float, ...], std: tuple[float, ...], full: float
) -> NDArray[np.float32]:
    """(H, W, 3) -> (3, H, W) of (value / full - mean) / std."""
    # One table a channel: 256 values are all there are. In float32 step by step, as the official
    # code computes them, so that even the last bit agrees.
    values = (np.arange(256) * (1 / full)).astype(np.float32)
    channels = [
        ((values - np.float32(m)) / np.float32(s))[rgb[..., channel]]
        for channel, (m, s) in enumerate(zip(mean, std, strict=True))
    ]
    return np.stack(channels)
