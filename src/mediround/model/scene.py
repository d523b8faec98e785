"""What an image shows, place by place, whatever anybody asks for.

The published encoder looks at windows of 7 to 14 cells, so that no cell of its last stage knows
where in the body it is: a round grey thing beside the spine is one of several vessels. Here the
trunk's features are brought down to a sixteenth of the canvas' side, look at each other there, and
come back up with what is fine beside what is far (U-Net, Ronneberger et al. 2015; a transformer at
its bottom, Chen et al. 2021). Added to what masks are drawn on, they tell all structures at once:
one pass, instead of one drawing for each.

Shapes: B images, C channels of the trunk, D of the grid, side x side cells, a quarter of the
canvas' side.
"""

import dataclasses
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import ModelConfig, SceneConfig, TinyVitConfig
from mediround.model.mask_decoder import Decoded
from mediround.model.vision_encoder import ChannelNorm

_SUREST = 12.0
"""Largest log odds, in either direction."""
_APART, _SURE = 0.3, 0.6
"""Below the one overlap (0..1) two masks show different things, and the scene's is taken where its
mean probability is above the other; chosen on training slices (``docs/results.md``)."""


class Scene(nn.Module):
    """Tells the structures of an image apart.

    Attributes:
        share: (entities,), 0..1, how much its opinion counts where one of them is drawn.

    Args:
        config: its sizes.
        vision: the encoder's.
        side: cells; a multiple of 4.
        entities: how many structures there are.
    """

    def __init__(
        self, config: SceneConfig, vision: TinyVitConfig, side: int, entities: int
    ) -> None:
        super().__init__()
        width = config.width
        fine, middle = width // 2, width * 2 // 3
        self.enter = _Convolution(vision.widths[-1], fine, 1)
        self.to_middle = _Convolution(fine, middle, 3, stride=2)
        self.to_coarse = _Convolution(middle, width, 3, stride=2)
        self.places = nn.Parameter(torch.randn(1, (side // 4) ** 2, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                width * config.expand,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.from_coarse = nn.Conv2d(width, middle, 1)
        self.mix_middle = _Convolution(middle, middle, 3)
        self.from_middle = nn.Conv2d(middle, fine, 1)
        self.mix_fine = _Convolution(fine, fine, 3)
        self.leave = nn.Conv2d(fine, vision.out, 1)
        self.tell = nn.Conv2d(vision.out, entities + 1, 1)
        self.share = nn.Parameter(torch.zeros(entities), requires_grad=False)

    @classmethod
    def build(cls, config: ModelConfig, entities: int) -> Self:
        """Random weights, of the sizes that a whole model's configuration gives."""
        assert config.scene is not None
        return cls(config.scene, config.tiny_vit, config.normalisation.canvas // 4, entities)

    def forward(self, trunk: Tensor, grid: Tensor) -> Tensor:
        """Logits (B, entities + 1, 4 side, 4 side), the first of none of the structures.

        Args:
            trunk: (B, C, side, side).
            grid: (B, D, side, side), what masks are drawn on.
        """
        fine = self.enter(trunk)
        middle = self.to_middle(fine)
        coarse = self.to_coarse(middle)
        tokens = coarse.flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        coarse = tokens.transpose(1, 2).reshape(coarse.shape)
        middle = self.mix_middle(middle + _larger(self.from_coarse(coarse), 2))
        fine = self.mix_fine(fine + _larger(self.from_middle(middle), 2))
        return _larger(self.tell(grid + self.leave(fine)), 4)

    def odds(self, trunk: Tensor, grid: Tensor) -> Tensor:
        """Log odds (entities, 4 side, 4 side), float32, of each structure in one image."""
        chances = self(trunk.float(), grid.float()).log_softmax(1)[0, 1:]
        against = torch.log1p(-chances.exp().clamp(max=1 - 1e-6))
        return (chances - against).clamp(-_SUREST, _SUREST)  # type: ignore[no-any-return]  # modules return Any


@dataclass(frozen=True)
class Seen:
    """What a scene shows of the structures that are drawn.

    Attributes:
        odds: float32 (N, 4 side, 4 side).
        share: (N,), 0..1, how much they count beside the decoder's logits.
        certainty: (N,), 0..1, how certain the structures are; odds of others do not count.
    """

    odds: Tensor
    share: Tensor
    certainty: Tensor

    def added_to(self, decoded: Decoded) -> Decoded:
        """What was decoded for the N structures of one image, and these odds, in one.

        Their agreement is the soft Dice of both, which the judge looks at. Two masks apart are not
        blended, which would be neither: one is right.
        """
        logits = decoded.logits
        mine, theirs = self.odds.sigmoid(), logits[0].float().sigmoid()
        shared = 2 * (mine * theirs).sum((1, 2)) / (mine.sum((1, 2)) + theirs.sum((1, 2)) + 1)
        share = torch.where(shared < _APART, (_sureness(mine) > _SURE).float(), self.share)
        blended = logits.lerp(
            self.odds[None].to(logits), (share * self.certainty)[None, :, None, None].to(logits)
        )
        return dataclasses.replace(decoded, logits=blended, agreement=shared[None])


def _sureness(chances: Tensor) -> Tensor:
    """Mean probability (N,) inside each of the masks (N, H, W) that are likelier than not."""
    inside = chances > 0.5
    return (chances * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


class _Convolution(nn.Sequential):
    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2)
        super().__init__(conv, ChannelNorm(c_out), nn.GELU())


def _larger(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear")
