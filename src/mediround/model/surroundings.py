"""What lies around a mask: one token for each direction, read from the image's own features.

"The structure in front of [1]" asks for something that no word names and no feature inside the
mask shows. Here a small transformer looks outwards from the mask once for each kind of neighbour;
what it finds stands beside the mask's own tokens, each behind a word that says where it lies, so
that the language model reads "left: the stomach" and only has to pick what the question is about.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import ModelConfig, PerceptionConfig, TinyVitConfig
from mediround.model.landmarks import landmarks
from mediround.model.position import PositionCode

_BEARINGS = 6  # numbers that say where a cell lies as seen from a mask
_STEPS = 25  # steps of area, from 1/16,000 of the canvas to all of it
_SMALLEST = 14.0  # as the negative logarithm, base 2, of that share


class Surroundings(nn.Module):
    """Masks -> a token a kind of neighbour, and a size token each.

    Shapes: N masks of one image, C trunk channels, S x S grid, W width of the language model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        perception, vision = config.perception, config.vision
        assert isinstance(perception, PerceptionConfig)
        assert isinstance(vision, TinyVitConfig)
        self.kinds, self.grid = perception.neighbours, perception.neighbour_grid
        channels, place, width = vision.widths[-1], vision.out, perception.neighbour_width
        self.norm = nn.LayerNorm(channels)
        self.cells = nn.Linear(channels + place, width)
        self.bearings = nn.Linear(_BEARINGS, width)
        self.queries = nn.Parameter(0.5 * torch.randn(len(self.kinds), width))
        self.own = nn.Linear(channels + 3 * place, width)
        layer = nn.TransformerDecoderLayer(
            width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, perception.neighbour_layers)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.language.width))
        self.area = nn.Linear(_STEPS, config.language.width)
        nn.init.normal_(self.area.weight, std=0.5 / _STEPS**0.5)

    def forward(self, features: Tensor, mask: Tensor, position: PositionCode) -> Tensor:
        """Features (C, S, S), float masks (N, S, S) in 0..1 -> (N, kinds, W)."""
        cells = F.adaptive_avg_pool2d(features[None], self.grid)[0].flatten(1).transpose(0, 1)
        places = position.grid(self.grid).flatten(1).transpose(0, 1).to(cells.dtype)
        seen = self.cells(torch.cat([self.norm(cells), places], dim=1))  # (cells, width)
        covered = F.adaptive_avg_pool2d(mask[:, None].float(), self.grid).flatten(1)
        marks = landmarks(mask)
        memory = F.gelu(seen[None] + self.bearings(_bearings(covered, marks, self.grid)))
        weights = covered / covered.sum(1, keepdim=True).clamp(min=1e-3)
        inside = self.norm(weights @ cells)
        own = self.own(torch.cat([inside, position(marks).flatten(1)], dim=1))
        found = self.layers(self.queries[None] + own[:, None], memory)
        return self.out(found)  # type: ignore[no-any-return]  # what a module returns has no type

    def sizes(self, mask: Tensor) -> Tensor:
        """Float masks (N, S, S) in 0..1 -> (N, W)."""
        return self.scale(mask.float().mean((1, 2)))

    def scale(self, area: Tensor) -> Tensor:
        """Shares of the canvas (N,), 0..1 -> (N, W).

        A scale on which one step after the other fills up as the area grows: whatever reads it
        finds which of two masks is larger along any direction that all steps share.
        """
        steps = torch.linspace(-_SMALLEST, 0, _STEPS, device=area.device)
        above = 4 * (area.clamp(min=1e-5).log2()[:, None] - steps)
        return self.area(above.sigmoid())  # type: ignore[no-any-return]  # modules return Any


def _bearings(covered: Tensor, marks: Tensor, grid: int) -> Tensor:
    """(N, cells, 6): coverage, offset from the centre, offset from the box (0 inside), distance.

    ``covered`` (N, cells); ``marks`` (N, 3, 2): corners and centre, (x, y) in 0..1.
    """
    axis = (torch.arange(grid, device=marks.device) + 0.5) / grid
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y], dim=-1).flatten(0, 1)[None]  # (1, cells, 2)
    low, high, centre = (marks[:, None, index] for index in range(3))
    offset = points - centre
    outside = (points - high).clamp(min=0) - (low - points).clamp(min=0)
    away = outside.norm(dim=-1, keepdim=True)
    return torch.cat([covered[..., None], 4 * offset, 4 * outside, 4 * away], dim=-1)
