"""Prompt tokens + image features -> mask logits, in the manner of SAM's decoder.

Same arithmetic as the published two-way decoder for one mask per prompt, arranged for many
prompts on one image: what depends on the image alone is computed once. Submodule names follow
the published checkpoint.

Shapes: B images, P prompts an image, T tokens a prompt, D channels, S = side x side grid.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import MaskDecoderConfig
from mediround.model.vision_encoder import ChannelNorm


class Attention(nn.Module):
    """Multi-head attention with a narrower inner width."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(..., Nq, D), (..., Nk, D), (..., Nk, D) -> (..., Nq, D); leading axes broadcast."""
        heads = [
            part.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for part in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        ]
        lead = torch.broadcast_shapes(*(h.shape[:-3] for h in heads))
        # Four axes, or attention takes a path that is twice as slow.
        q_, k_, v_ = (h.expand(*lead, *h.shape[-3:]).flatten(0, -4) for h in heads)
        out = _attend(q_, k_, v_).unflatten(0, lead)
        return self.out_proj(out.transpose(-3, -2).flatten(-2))  # type: ignore[no-any-return]  # modules return Any


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, heads, Nq, d), twice (B, heads, Nk, d) -> (B, heads, Nq, d).

    On processors torch's fused attention is slow where one side is a few tokens: forwards where
    these are the keys (four times slower than weights whose rows are the keys), and backwards.
    """
    scale = q.shape[-1] ** -0.5
    learning = torch.is_grad_enabled() and any(each.requires_grad for each in (q, k, v))
    if q.device.type == "cpu" and k.shape[-2] < q.shape[-2]:
        weights = ((k * scale) @ q.transpose(-2, -1)).softmax(-2)
        out: Tensor = (v.transpose(-2, -1) @ weights).transpose(-2, -1)
    elif q.device.type == "cpu" and learning:
        out = (q @ k.transpose(-2, -1) * scale).softmax(-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return out


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, inner)
        self.lin2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))  # type: ignore[no-any-return]  # modules return Any


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, then the image to the tokens."""

    def __init__(self, config: MaskDecoderConfig, *, first: bool) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.first = first
        self.self_attn = Attention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width, config.mlp)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, width // 2)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One exchange between tokens (B, P, T, D) and image (B, 1 or P, S, D), positions beside.

        Returns:
            New tokens (B, P, T, D) and a new image for each prompt (B, P, S, D).
        """
        if self.first:  # the first block's tokens are their own positions
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        keys = image + image_pe
        q = tokens + token_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(q, keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        q = tokens + token_pe
        image = self.norm4(image + self.cross_attn_image_to_token(keys, q, tokens))
        return tokens, image


class _TwoWay(nn.Module):
    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(config, first=index == 0) for index in range(config.depth)
        )
        self.final_attn_token_to_image = Attention(config.width, config.heads, config.width // 2)
        self.norm_final_attn = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, image: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        q = tokens + token_pe
        attended = self.final_attn_token_to_image(q, image + image_pe, image)
        return self.norm_final_attn(tokens + attended), image


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., first width) -> (..., last width)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]  # modules return Any


@dataclass(frozen=True)
class Decoded:
    """What the decoder says about P prompts on B images.

    Attributes:
        logits: (B, P, 4 side, 4 side); above 0 is foreground.
        mask_tokens: (B, P, D), the decoder's final state of each mask.
        iou: (B, P), the decoder's own estimate of the IoU (unbounded, about 0..1).
        agreement: (B, P), 0..1, with what else is known of the structures; None where nothing is.
    """

    logits: Tensor
    mask_tokens: Tensor
    iou: Tensor
    agreement: Tensor | None = None

    def of(self, prompts: Tensor) -> Self:
        """What is said about some of the prompts, given by their places (N,)."""
        return type(self)(
            self.logits[:, prompts],
            self.mask_tokens[:, prompts],
            self.iou[:, prompts],
            None if self.agreement is None else self.agreement[:, prompts],
        )


class MaskDecoder(nn.Module):
    """SAM-style decoder (Kirillov et al. 2023, section 3; Ma et al. 2024), one mask a prompt."""

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.transformer = _TwoWay(config)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(4, width)  # all attend; only the first is decoded
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            ChannelNorm(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetwork = Perceptron(width, width, width, width // 8)
        self.iou_prediction_head = Perceptron(width, width, width, 4)

    def forward(self, image: Tensor, image_pe: Tensor, dense: Tensor, prompts: Tensor) -> Decoded:
        """Decode ``prompts`` (B, P, T, D) on ``image`` (B, D, side, side).

        Args:
            image: features of the encoder.
            image_pe: (D, side, side) positional code of the grid.
            dense: (D,) embedding added everywhere: "no mask was given".
            prompts: sparse prompt tokens.
        """
        batch, _, side, _ = image.shape
        count = prompts.shape[1]
        grid = (image + dense[:, None, None]).flatten(2).transpose(1, 2)
        grid = grid.contiguous()[:, None]  # (B, 1, S, D); as a view all that follows is slow
        pe = image_pe.flatten(1).transpose(0, 1).to(grid.dtype).contiguous()
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, count, *own.shape).to(prompts.dtype), prompts], dim=2)
        tokens, grid = self.transformer(tokens, grid, pe)
        grid = grid.expand(batch, count, *grid.shape[2:])
        weights = self.output_hypernetwork(tokens[:, :, 1]).flatten(0, 1)
        logits = self._draw(grid.flatten(0, 1), weights, side)
        return Decoded(
            logits=logits.unflatten(0, (batch, count)),
            mask_tokens=tokens[:, :, 1],
            iou=self.iou_prediction_head(tokens[:, :, 0])[..., 0],
        )

    def _draw(self, grid: Tensor, weights: Tensor, side: int) -> Tensor:
        """Upscaled (N, S, D) times its mask's ``weights`` (N, D/8) -> (N, 4 side, 4 side).

        A transposed convolution with stride = kernel is a linear map of each cell to 2 x 2 cells,
        which runs much faster as such, channels last.
        """
        first, norm, _, second, _ = self.output_upscaling
        assert isinstance(first, nn.ConvTranspose2d)
        assert isinstance(second, nn.ConvTranspose2d)
        assert isinstance(norm, ChannelNorm)
        x = _double(grid, first).unflatten(-1, (2, 2, first.out_channels))
        x = F.gelu(F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, 1e-6))
        x = F.gelu(_double(x, second))  # (N, S, 2, 2, 4 D/8)
        x = x.unflatten(-1, (4, second.out_channels)).flatten(1, -2)
        # One number for each of a cell's rows and columns, twice refined; now into picture order.
        drawn: Tensor = (x @ weights[..., None]).reshape(-1, side, side, 2, 2, 2, 2)
        return drawn.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, 4 * side, 4 * side)


def _double(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """(..., C) -> (..., 2 * 2 * C_out): each cell's 2 x 2 children, rows first."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)
    assert layer.bias is not None
    return F.linear(x, weight, layer.bias.repeat(4))
