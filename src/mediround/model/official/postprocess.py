"""Low-resolution mask logits -> logits in the image's pixels, as SAM defines it."""

import torch.nn.functional as F
from torch import Tensor


def full_size(logits: Tensor, side: int, shown: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Undo the resizing and padding of SAM's input.

    Args:
        logits: (N, low, low) over the padded square, float32.
        side: of the encoder's input in pixels.
        shown: (rows, columns) of the input that show the image.
        size: (H, W) of the result.

    Returns:
        (N, H, W), bilinear twice, as published.
    """
    large = F.interpolate(logits[:, None], (side, side), mode="bilinear", align_corners=False)
    cut = large[..., : shown[0], : shown[1]]
    return F.interpolate(cut, size, mode="bilinear", align_corners=False)[:, 0]
