"""What a picture of the head shows, told from its pixels alone.

A U-Net (Ronneberger et al. 2015) that learned on images made from label maps in random contrasts
(SynthSeg, Billot et al. 2023), so that it depends on no scanner and no weighting. It stands beside
the language model, which knows none of its structures.

Shapes: B images of side x side pixels, K structures.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import ParcellationConfig

_FOLD, _UNFOLD = 4, 2
"""Pixels, along each side, that are read together; parts of these that are told apart."""
_SUREST = 12.0
"""Largest log odds, in either direction."""
_LEAST = 0.03
"""Part of the canvas that must show some structure where the image shows a head."""


class Parcellation(nn.Module):
    """Tells all its structures at every pixel in one pass.

    Attributes:
        entities: what is told, in order.
        trust: (2,), how the expected overlap of a mask becomes its score: scale and shift of its
            log odds.

    Args:
        config: its sizes and structures.
    """

    def __init__(self, config: ParcellationConfig) -> None:
        super().__init__()
        self.entities = config.entities
        steps = list(pairwise(config.widths))
        self.enter = _Block(_FOLD**2 + 2, config.widths[0])
        self.down = nn.ModuleList(_Block(upper, lower) for upper, lower in steps)
        self.up = nn.ModuleList(_Block(upper + lower, upper) for upper, lower in steps)
        self.tell = nn.Conv2d(config.widths[0], _UNFOLD**2 * (len(config.entities) + 1), 1)
        self.trust = nn.Parameter(torch.tensor([1.0, 0.0]), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, K + 1, side, side), the first of none of the structures.

        Args:
            pixels: (B, side, side), 0..1; side a multiple of ``2 ** (len(widths) + 1)``.
        """
        return _larger(self.coarse(pixels))

    def coarse(self, pixels: Tensor) -> Tensor:
        """:meth:`forward` on half as many pixels along each side, where it is computed."""
        folded = F.pixel_unshuffle(pixels[:, None], _FOLD)
        now = self.enter(torch.cat([folded - 0.5, _places(folded)], dim=1))
        passed = []
        for block in self.down:
            passed.append(now)
            now = block(F.max_pool2d(now, 2))
        for block in reversed(self.up):
            larger = F.interpolate(now, scale_factor=2.0, mode="nearest")
            now = block(torch.cat([passed.pop(), larger], dim=1))
        return F.pixel_shuffle(self.tell(now), _UNFOLD)

    def odds(self, pixels: Tensor) -> Tensor:
        """Log odds (K, side, side), float32, of each structure in one image (side, side)."""
        chances = self(pixels[None]).float().log_softmax(1)[0, 1:]
        against = torch.log1p(-chances.exp().clamp(max=1 - 1e-6))
        return (chances - against).clamp(-_SUREST, _SUREST)  # type: ignore[no-any-return]  # modules return Any

    def see(self, pixels: Tensor) -> Tensor | None:
        """:meth:`odds` of an image that shows a head; None for any other."""
        odds = self.odds(pixels.float())
        return odds if float((odds > 0).any(0).float().mean()) > _LEAST else None

    def scores(self, odds: Tensor) -> Tensor:
        """Expected IoU (K,), 0..1, of the masks where :meth:`odds` (K, H, W) are above 0."""
        scale, shift = self.trust
        scores: Tensor = (scale * expected_overlap(odds).logit() + shift).sigmoid()
        return scores


def expected_overlap(odds: Tensor) -> Tensor:
    """IoU (K,), 0..1, of masks with the truth, were each pixel's odds (K, H, W) its odds indeed."""
    chances, drawn = odds.float().sigmoid(), odds > 0
    shared = (chances * drawn).sum((-2, -1))
    both = chances.sum((-2, -1)) + drawn.sum((-2, -1)) - shared
    return (shared / both.clamp(min=1e-3)).clamp(1e-3, 1 - 1e-3)


def _larger(logits: Tensor) -> Tensor:
    return F.interpolate(logits, scale_factor=float(_FOLD // _UNFOLD), mode="bilinear")


class _Block(nn.Sequential):
    def __init__(self, c_in: int, c_out: int) -> None:
        layers: list[nn.Module] = []
        for width in (c_in, c_out):
            layers += [
                nn.Conv2d(width, c_out, 3, padding=1, bias=False),
                nn.InstanceNorm2d(c_out, affine=True),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        super().__init__(*layers)


def _places(like: Tensor) -> Tensor:
    """(B, 2, H, W): row and column of every place, -1..1; sides look alike but for these."""
    rows, columns = (torch.linspace(-1, 1, n, dtype=like.dtype) for n in like.shape[-2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).to(like.device)
    return grid.expand(len(like), -1, -1, -1)
