"""What the language model sees: an image as tokens, an earlier mask as tokens.

Shapes: B images, C trunk channels, S x S grid, W width of the language model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import NEIGHBOUR_WORDS, ModelConfig, PerceptionConfig, TinyVitConfig
from mediround.model.landmarks import landmarks
from mediround.model.position import PositionCode
from mediround.model.roles import PerceptionRole
from mediround.model.surroundings import Surroundings


class ImageTokens(nn.Module):
    """Pooled features with their place: (B, C, S, S) -> (B, grid * grid, W)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        perception, vision = _settings(config)
        self.grid = perception.image_grid
        channels, place = vision.widths[-1], vision.out
        self.norm = nn.LayerNorm(channels)
        self.layers = nn.Sequential(
            nn.Linear(channels + place, perception.inner),
            nn.GELU(),
            nn.Linear(perception.inner, config.language.width),
        )

    def forward(self, features: Tensor, position: PositionCode) -> Tensor:
        """Trunk features (B, C, S, S) -> (B, grid * grid, W), row by row."""
        pooled = F.adaptive_avg_pool2d(features, self.grid).flatten(2).transpose(1, 2)
        places = position.grid(self.grid).flatten(1).transpose(0, 1).to(pooled.dtype)
        places = places.expand(pooled.shape[0], -1, -1)
        return self.layers(torch.cat([self.norm(pooled), places], dim=-1))  # type: ignore[no-any-return]  # modules return Any


class ReferenceTokens(nn.Module):
    """A mask as tokens: features inside it, quarter by quarter, its box, centre and area.

    The paper's crop token and box token (section 3.2) in one encoder: features are read from the
    image's own grid, so that referring costs no second encoding.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        perception, vision = _settings(config)
        self.pool = perception.pool
        self.tokens = perception.reference_tokens
        channels, place = vision.widths[-1], vision.out
        self.norm = nn.LayerNorm(channels)
        self.layers = nn.Sequential(
            nn.Linear(self.pool**2 * channels + 3 * place + 2, perception.inner),
            nn.GELU(),
            nn.Linear(perception.inner, perception.inner),
            nn.GELU(),
            nn.Linear(perception.inner, self.tokens * config.language.width),
        )

    def forward(self, features: Tensor, mask: Tensor, position: PositionCode) -> Tensor:
        """One image's features (C, S, S) and float masks (N, S, S), 0..1 -> (N, tokens, W).

        A mask that is empty on the grid is read as its position only: zero features.
        """
        weights = self._quarters(mask)  # (N, pool * pool, S, S)
        flat = weights.flatten(2).to(features.dtype)
        total = flat.sum(-1, keepdim=True).clamp(min=1e-3)
        pooled = flat @ features.flatten(1).transpose(0, 1) / total
        places = position(landmarks(mask)).flatten(1)
        area = mask.float().mean((1, 2))[:, None]
        size = torch.cat([area.sqrt(), area.clamp(min=1e-5).log() / 10], dim=1)
        parts = [self.norm(pooled).flatten(1), places.to(pooled.dtype), size.to(pooled.dtype)]
        return self.layers(torch.cat(parts, dim=1)).unflatten(1, (self.tokens, -1))  # type: ignore[no-any-return]  # modules return Any

    def _quarters(self, mask: Tensor) -> Tensor:
        side = mask.shape[-1]
        marks = landmarks(mask)
        axis = (torch.arange(side, device=mask.device) + 0.5) / side
        parts = []
        for row in range(self.pool):
            for column in range(self.pool):
                inside = _between(axis, marks[:, 0, 1], marks[:, 1, 1], row, self.pool)
                across = _between(axis, marks[:, 0, 0], marks[:, 1, 0], column, self.pool)
                parts.append(mask * inside[:, :, None] * across[:, None, :])
        return torch.stack(parts, dim=1)


def _between(axis: Tensor, low: Tensor, high: Tensor, part: int, parts: int) -> Tensor:
    """(N, S) 0/1: axis positions in the given part of the interval low..high."""
    span = (high - low) / parts
    start, end = low + part * span, low + (part + 1) * span
    return ((axis >= start[:, None]) & (axis < end[:, None])).float()


class Perception(PerceptionRole):
    """Both read from the segmenter's own features, so that referring costs no second encoding."""

    image: ImageTokens
    reference: ReferenceTokens
    own: slice

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        perception, _ = _settings(config)
        self.image_tokens = perception.image_grid**2
        form: list[int | str] = [perception.reference_tokens]
        self.own = slice(0, perception.reference_tokens)
        self.image = ImageTokens(config)
        self.reference = ReferenceTokens(config)
        self.surroundings: Surroundings | None = None
        if perception.neighbours:
            self.surroundings = Surroundings(config)
            self.neighbours = perception.neighbours
            form = [" size", 1 + perception.reference_tokens]
            self.own = slice(1, 1 + perception.reference_tokens)  # behind the size
            for kind in perception.neighbours:
                form += [NEIGHBOUR_WORDS[kind], 1]
        self.reference_form = tuple(form)

    def look(self, pixels: Tensor, trunk: Tensor, position: nn.Module) -> Tensor:  # noqa: ARG002
        """Trunk features (1, C, S, S) -> (image tokens, W); the pixels are not read again."""
        return self.image(trunk.float(), position)[0]  # type: ignore[no-any-return]  # modules return Any

    def refer(self, mark: tuple[Tensor, ...], trunk: Tensor, position: nn.Module) -> Tensor:
        """``mark``: coverage 0..1 of the trunk's cells, (S, S) -> (reference tokens, W)."""
        (coverage,) = mark
        return self.read(trunk[0].float(), coverage[None], position)[0]

    def read(self, features: Tensor, masks: Tensor, position: nn.Module) -> Tensor:
        """Features (C, S, S) and masks (N, S, S) of one image -> (N, reference tokens, W).

        With surroundings: first a mask's size, then what it is, then what lies around it.
        """
        own: Tensor = self.reference(features, masks, position)
        if self.surroundings is None:
            return own
        size = self.surroundings.sizes(masks)[:, None]
        return torch.cat([size, own, self.surroundings(features, masks, position)], dim=1)

    def lower(self, dtype: torch.dtype) -> None:
        """Nothing is large here: all stays in float32."""


def _settings(config: ModelConfig) -> tuple[PerceptionConfig, TinyVitConfig]:
    assert isinstance(config.perception, PerceptionConfig)
    assert isinstance(config.vision, TinyVitConfig)
    return config.perception, config.vision
