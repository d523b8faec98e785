"""An earlier mask as the official model reads it: a masked crop and a box.

The crop is the image inside the mask and black outside, cut to a bounding box and laid into the
upper left corner of a black square. The box is (x0, y0, x1, y1) as fractions of the mask's sides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediround.errors import ImageFileError, QueryError
from mediround.geometry import BoolMask, mask_to_box
from mediround.model.official.inputs import Picture, clip_pixels
from mediround.quirks import OfficialQuirks

BRIGHT_ENOUGH = 10
"""Pixels that an output must show for the official code not to replace it by the whole image."""


@dataclass(frozen=True)
class Reference:
    """What stands for a mask in a prompt.

    Attributes:
        pixels: float32 (3, side, side), the crop as CLIP reads it.
        box: float32 (4,), fractions 0..1.
    """

    pixels: NDArray[np.float32]
    box: NDArray[np.float32]


def predicted_reference(
    rgb: Picture, mask: BoolMask, side: int = 336, quirks: OfficialQuirks | None = None
) -> Reference | None:
    """The reference to a mask that a model or a person drew.

    Args:
        rgb: the whole image, (H, W, 3).
        mask: (H, W).
        side: of the crop in pixels.
        quirks: of these, ``inclusive_boxes``, ``crop_by_bright_pixels``,
            ``dark_reference_is_image``, ``failed_update_keeps_truth`` and those of CLIP's pixels.

    Returns:
        None where the quirk ``failed_update_keeps_truth`` leaves the reference as it was.

    Raises:
        QueryError: there is nothing to crop to.
    """
    quirks = quirks or OfficialQuirks()
    _check_fit(rgb, mask)
    shown = np.where(mask[..., None], rgb, np.uint8(0))
    if quirks.dark_reference_is_image and np.count_nonzero(shown[..., 0]) < BRIGHT_ENOUGH:
        mask, shown = np.ones_like(mask), rgb
    region = np.asarray(shown.any(axis=2)) if quirks.crop_by_bright_pixels else mask
    if not region.any():
        if quirks.failed_update_keeps_truth:
            return None
        raise QueryError("a reference to a mask without pixels", expected="a mask that shows some")
    return _reference(shown, region, mask, side, quirks)


def annotated_reference(
    rgb: Picture, gray: NDArray[np.uint8], side: int = 336, quirks: OfficialQuirks | None = None
) -> Reference:
    """The reference to a mask as a data set's file holds it.

    Args:
        rgb: the whole image, (H, W, 3).
        gray: the file's pixels, (H, W); 0 and one other value.
        side: of the crop in pixels.
        quirks: of these, ``only_255_is_mask``, ``inclusive_boxes`` and those of CLIP's pixels.

    Raises:
        ImageFileError: several values, or no pixel that counts.
    """
    quirks = quirks or OfficialQuirks()
    region = gray != 0
    mask = file_mask(gray, quirks)
    _check_fit(rgb, mask)
    if not mask.any():
        raise ImageFileError("a reference mask without a region", expected="some white pixels")
    shown = np.where(region[..., None], rgb, np.uint8(0))
    return _reference(shown, region, mask, side, quirks)


def file_mask(gray: NDArray[np.uint8], quirks: OfficialQuirks | None = None) -> BoolMask:
    """The mask (H, W) that the pixels of a file mean; of the quirks, ``only_255_is_mask``.

    Raises:
        ImageFileError: more than one value besides 0.
    """
    if quirks is not None and quirks.only_255_is_mask:
        return np.asarray(gray == 255)
    values = np.unique(gray[gray != 0])
    if values.size > 1:
        raise ImageFileError(
            f"a mask with {values.size} values besides 0",
            expected="0 and one other value",
            remedy="save one structure a file, or count only 255 with the quirk only_255_is_mask",
        )
    return np.asarray(gray != 0)


def normalised_box(mask: BoolMask, quirks: OfficialQuirks | None = None) -> NDArray[np.float64]:
    """(x0, y0, x1, y1) of a mask's pixels as fractions of its sides, float64 (4,).

    Raises:
        QueryError: the mask is empty.
    """
    box = mask_to_box(mask)
    if box is None:
        raise QueryError("a box of an empty mask", expected="at least one pixel")
    last = 1.0 if quirks is not None and quirks.inclusive_boxes else 0.0
    rows, columns = mask.shape
    return np.array(
        [box.x0 / columns, box.y0 / rows, (box.x1 - last) / columns, (box.y1 - last) / rows]
    )


def square_crop(shown: Picture, region: BoolMask) -> Picture:
    """``shown`` cut to the box of ``region``, in the upper left corner of a black square."""
    box = mask_to_box(region)
    assert box is not None  # the callers have seen to it
    cut = shown[box.slices()]
    square = np.zeros((max(cut.shape[:2]),) * 2 + (3,), np.uint8)
    square[: cut.shape[0], : cut.shape[1]] = cut
    return square


def _reference(
    shown: Picture, region: BoolMask, mask: BoolMask, side: int, quirks: OfficialQuirks
) -> Reference:
    pixels = clip_pixels(square_crop(shown, region), side, quirks)
    return Reference(pixels, normalised_box(mask, quirks).astype(np.float32))


def _check_fit(rgb: Picture, mask: BoolMask) -> None:
    if rgb.shape != (*mask.shape, 3):
        raise ImageFileError(
            f"a mask of {mask.shape[0]} x {mask.shape[1]} pixels for an image of "
            f"{rgb.shape[0]} x {rgb.shape[1]}",
            expected="the same size",
        )
