"""A language model with an adapter, computed in a way that trains quicker.

The adapter's layers take fewer passes over memory: ``y = x W' + s (x A') B'`` as one operation.

Peft computes the three products apart, then scales and adds what is as wide as the output: on a
processor these passes cost as much as the products. Here the narrow product is added where the
wide one already stands, forwards and backwards. Values differ from peft's by rounding alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel


class _LowRankProduct(torch.autograd.Function):
    """Gradients reach ``x`` and the factors; the wide weight is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        rows = x.flatten(0, -2)
        narrow = rows @ down.T
        out = F.linear(rows, weight).addmm_(narrow, up.T, alpha=scale)
        ctx.save_for_backward(rows, narrow, weight, down, up)
        ctx.scale = scale
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        rows, narrow, weight, down, up = ctx.saved_tensors
        change = outputs[0].flatten(0, -2)
        back = change @ up * ctx.scale
        to_x = (change @ weight).addmm_(back, down)
        to_up = change.T @ narrow * ctx.scale
        return to_x.view(*outputs[0].shape[:-1], -1), None, back.T @ rows, to_up, None


LONGEST_PLAIN = 512
"""Positions up to which the weights of plain attention, quadratic in them, take little memory."""


def quicken(inner: PreTrainedModel, device: torch.device, longest: int) -> None:
    """Fuse the adapter; on a CPU also take plain attention, which is quicker backwards.

    Args:
        inner: the language model.
        device: on which it is trained.
        longest: positions of the longest dialogue.
    """
    fuse(inner)
    if device.type == "cpu" and longest <= LONGEST_PLAIN:
        inner.set_attn_implementation("eager")


def fuse(inner: nn.Module) -> None:
    """Let the adapted layers of ``inner`` that have nothing but frozen weight and factors do so.

    Names and parameters stay as they are. Layers with a bias, with dropout or with a trained
    weight go on as peft has them, as does every layer whose adapter is switched off or merged.
    """
    for layer in inner.modules():
        if isinstance(layer, LoraLayer) and _is_plain(layer):
            assert isinstance(layer, nn.Module)
            layer.forward = partial(_forward, layer, layer.forward)


def _is_plain(layer: LoraLayer) -> bool:
    base = layer.get_base_layer()
    return (
        isinstance(base, nn.Linear)
        and [name for name, _ in base.named_parameters()] == ["weight"]
        and not base.weight.requires_grad
        and list(layer.lora_A) == ["default"]
        and isinstance(layer.lora_dropout["default"], nn.Identity)
        and not any(layer.use_dora.values())
    )


def _forward(layer: LoraLayer, usual: Callable[..., Tensor], x: Tensor) -> Tensor:
    if layer.disable_adapters or layer.merged:
        return usual(x)
    base, down, up = layer.get_base_layer(), layer.lora_A["default"], layer.lora_B["default"]
    assert isinstance(base, nn.Linear)
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear)
    kind = x.device.type
    narrowed = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if narrowed else x.dtype
    parts = [each.to(dtype) for each in (x, base.weight, down.weight, up.weight)]
    with torch.autocast(kind, enabled=False):
        out: Tensor = _LowRankProduct.apply(*parts, layer.scaling["default"])
    return out
