"""CLIP as the language model's eye: patches of the image, the class token of a masked crop."""

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from mediround.config import ClipPerceptionConfig, ModelConfig
from mediround.model.roles import PerceptionRole


class ClipPerception(PerceptionRole):
    """LLaVA's tower and projector, and the paper's two tokens for an earlier mask (section 3.2).

    Attributes:
        tower: CLIPVisionModel of transformers.
        image: the two-layer projector, which serves crops too.
        reference: the linear encoder of a box.
    """

    reference: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert isinstance(config.perception, ClipPerceptionConfig)
        sizes, width = config.perception, config.language.width
        self.image_tokens = (sizes.side // sizes.patch) ** 2
        self.reference_tokens = sizes.reference_tokens
        self.layers_used = sizes.layers + 1 + sizes.layer
        self.tower = CLIPVisionModel(_clip_config(sizes))
        self.image = nn.Sequential(
            nn.Linear(sizes.width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.reference = nn.Linear(4, width)

    def features(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side), normalised -> (B, 1 + patches, C): class token, then patches."""
        x = self.tower.embeddings(pixels.to(self.tower.dtype))
        x = self.tower.pre_layrnorm(x)
        for layer in self.tower.encoder.layers[: self.layers_used]:
            x = layer(x, None)
        return x  # type: ignore[no-any-return]

    def project(self, features: Tensor) -> Tensor:
        """Tower features (..., C) -> vectors of the language model (..., W)."""
        return self.image(features.to(self.reference.weight.dtype))  # type: ignore[no-any-return]

    def look(self, pixels: Tensor, trunk: Tensor, position: nn.Module) -> Tensor:  # noqa: ARG002
        """(3, side, side), normalised -> (patches, W), row by row."""
        return self.project(self.features(pixels[None])[0, 1:])

    def refer(self, mark: tuple[Tensor, ...], trunk: Tensor, position: nn.Module) -> Tensor:  # noqa: ARG002
        """``mark``: crop (3, side, side) and box (x0, y0, x1, y1) in 0..1 -> (2, W)."""
        crop, box = mark
        return self.refer_all(crop[None], box[None])[0]

    def refer_all(self, crops: Tensor, boxes: Tensor) -> Tensor:
        """Crops (N, 3, side, side) and boxes (N, 4) -> (N, 2, W)."""
        seen = self.project(self.features(crops)[:, 0])
        placed = self.reference(boxes.to(self.reference.weight.dtype))
        return torch.stack([seen, placed], dim=1)

    def refill(self) -> None:
        """Number the tower's positions."""
        embeddings = self.tower.embeddings
        numbers = torch.arange(embeddings.num_positions)[None]
        embeddings.register_buffer("position_ids", numbers, persistent=False)

    def lower(self, dtype: torch.dtype) -> None:
        """The tower computes in ``dtype``; projector and box encoder stay in float32."""
        self.tower.to(dtype)  # type: ignore[arg-type]  # the decorator hides the method's own type


def _clip_config(sizes: ClipPerceptionConfig) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=sizes.width,
        intermediate_size=sizes.mlp,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        image_size=sizes.side,
        patch_size=sizes.patch,
        hidden_act=sizes.activation,
        layer_norm_eps=sizes.norm_eps,
    )
