"""CLIP as the language model's eye: patches of the image, the class token of a masked crop."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

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
        self.reference_form = (sizes.reference_tokens,)
        self.layers_used = sizes.layers + 1 + sizes.layer
        self.tower = CLIPVisionModel(_clip_config(sizes))
        self.image = nn.Sequential(
            nn.Linear(sizes.width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.reference = nn.Linear(4, width)

    def features(self, pixels: Tensor, *, classes: bool = False) -> Tensor:
        """What the tower sees.

        Args:
            pixels: (B, 3, side, side), normalised.
            classes: only the class token is wanted.

        Returns:
            (B, 1 + patches, C): class token, then patches; (B, 1, C) with ``classes``.
        """
        x = self.tower.embeddings(pixels.to(self.tower.dtype))
        x = self.tower.pre_layrnorm(x)
        *earlier, last = self.tower.encoder.layers[: self.layers_used]
        for layer in earlier:
            x = layer(x, None)
        assert isinstance(last, CLIPEncoderLayer)
        seen: Tensor = _first_of(last, x) if classes else last(x, None)
        return seen

    def project(self, features: Tensor) -> Tensor:
        """Tower features (..., C) -> vectors of the language model (..., W)."""
        return self.image(features.to(self.reference.weight.dtype))  # type: ignore[no-any-return]  # modules return Any

    def look(self, pixels: Tensor, trunk: Tensor, position: nn.Module) -> Tensor:  # noqa: ARG002
        """(3, side, side), normalised -> (patches, W), row by row."""
        return self.project(self.features(pixels[None])[0, 1:])

    def refer(self, mark: tuple[Tensor, ...], trunk: Tensor, position: nn.Module) -> Tensor:  # noqa: ARG002
        """``mark``: crop (3, side, side) and box (x0, y0, x1, y1) in 0..1 -> (2, W)."""
        crop, box = mark
        return self.refer_all(crop[None], box[None])[0]

    def refer_all(self, crops: Tensor, boxes: Tensor) -> Tensor:
        """Crops (N, 3, side, side) and boxes (N, 4) -> (N, 2, W)."""
        seen = self.project(self.features(crops, classes=True)[:, 0])
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


def _first_of(layer: CLIPEncoderLayer, x: Tensor) -> Tensor:
    """The first position after ``layer``: (B, N, C) -> (B, 1, C), a fifth of its products."""
    attention, normed = layer.self_attn, layer.layer_norm1(x)

    def heads(values: Tensor) -> Tensor:
        apart: Tensor = values.unflatten(-1, (attention.num_heads, -1))
        return apart.transpose(1, 2)

    found = F.scaled_dot_product_attention(
        heads(attention.q_proj(normed[:, :1])),
        heads(attention.k_proj(normed)),
        heads(attention.v_proj(normed)),
        scale=attention.scale,
    )
    first = x[:, :1] + attention.out_proj(found.transpose(1, 2).flatten(2))
    last: Tensor = first + layer.mlp(layer.layer_norm2(first))
    return last


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
