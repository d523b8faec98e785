"""A box round a structure -> the structure's mask, with LiteMedSAM as it was published.

Boxes are what LiteMedSAM was trained for (Ma et al. 2024): two prompt tokens, the codes of two
corners' places plus what the checkpoint learned for "upper left" and "lower right". A model whose
trunk is LiteMedSAM's has trained the rest of it on prompts of its own, so the published tail and
decoder stand beside it here (``benchmarks/boxes.py`` compares both). They read the trunk that the
model has computed anyway.

Shapes: N boxes, D channels, a trunk of side x side cells, a canvas of 4 side x 4 side pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from mediround.config import ModelConfig
from mediround.errors import InputError
from mediround.model.pretrained import pretrained_segmenter
from mediround.model.segmenter import Segmenter
from mediround.model.vision_encoder import fold_batch_norms

if TYPE_CHECKING:
    from mediround.model.mediround import MediRound

SOURCE = "lite-medsam"
"""The weights that were trained on boxes."""


@dataclass(frozen=True)
class BoxMasks:
    """What was found in N boxes.

    Attributes:
        logits: (N, 4 side, 4 side) over the whole canvas; above 0 is foreground.
        iou: (N,), the decoder's own estimate of the IoU (unbounded, about 0..1).
    """

    logits: Tensor
    iou: Tensor


def takes_boxes(config: ModelConfig) -> bool:
    """Whether a model of this configuration was built round LiteMedSAM's image encoder."""
    return config.vision_source == SOURCE


class BoxPrompt(nn.Module):
    """Boxes on an image that a model has encoded -> masks; make one with :meth:`beside`."""

    corners: Tensor

    def __init__(self, segmenter: Segmenter, corners: Tensor) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.register_buffer("corners", corners)

    @classmethod
    def beside(cls, network: MediRound) -> Self:
        """The published parts, in the type and on the device of ``network``, whose trunk they read.

        Raises:
            InputError: the model's image encoder is not LiteMedSAM's, or no longer.
            WeightsError: the published weights cannot be fetched, or are damaged.
        """
        if not takes_boxes(network.config):
            raise _unfit("is built round another image encoder")
        with torch.random.fork_rng(devices=[]):
            segmenter, corners = pretrained_segmenter(network.config)
        segmenter.eval().requires_grad_(False)
        fold_batch_norms(segmenter)
        segmenter.lower(network.dtype)
        segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
        made = cls(segmenter, corners.detach()).to(network.device)
        if not _same_trunk(network, segmenter):
            raise _unfit("has trained its image encoder further")
        return made

    def forward(self, trunk: Tensor, boxes: Tensor) -> BoxMasks:
        """Masks of ``boxes`` on one image.

        Args:
            trunk: (1, C, side, side), any float type, of the model that this one stands beside.
            boxes: (N, 2, 2), the upper left and the lower right corner, each (x, y) in 0..1 of
                the canvas.
        """
        dtype = self.segmenter.dtype
        prompts = (self.segmenter.position(boxes) + self.corners)[None].to(dtype)
        decoded = self.segmenter.decode(self.segmenter.tail(trunk.to(dtype)), prompts)
        return BoxMasks(decoded.logits[0], decoded.iou[0])


def _same_trunk(network: MediRound, published: Segmenter) -> bool:
    """Whether every tensor in front of the tail is the published one, to the bit."""
    # A server may have wrapped the segmenter.
    own = next(each for each in network.segmenter.modules() if isinstance(each, Segmenter))
    tail = (f"layers.{len(own.vision.layers) - 1}.", "neck.")
    mine, theirs = own.vision.state_dict(), published.vision.state_dict()
    shared = [name for name in theirs if not name.startswith(tail)]
    return all(name in mine and torch.equal(mine[name], theirs[name]) for name in shared)


def _unfit(why: str) -> InputError:
    return InputError(
        f"this model cannot find a structure in a box: it {why}",
        expected="LiteMedSAM's image encoder as it was published, which the preset nano has",
        remedy="take the box as a rectangle, or load nano",
    )
