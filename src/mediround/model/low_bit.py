"""Linear layers that hold their weights in 8 or 4 bits, for models larger than the memory.

What they compute with stays the model's own type. On the CPU torch's own products of packed
weights serve; on CUDA those of bitsandbytes (extra ``low-bit``).
"""

import functools
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.errors import ConfigError, DependencyError
from mediround.model.linears import replace_linears

LowBit = Literal["int8", "int4"]

FEW_ROWS = 16
"""Up to so many rows a product reads packed weights; beyond, it pays to unpack them first."""
GROUP = 64
"""Weights of a row that share scale and zero in 4 bits."""
_BITSANDBYTES = "bitsandbytes."
_BLOCK, _AT_ONCE = 64, 4  # rows that are packed together in 4 bits; blocks unpacked at once


class Int8Linear(nn.Module):
    """A row's weights as integers -127..127 times the row's scale; on the CPU.

    Computes ``layer`` up to rounding; cannot be trained or saved.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        scale = weight.abs().amax(1).float().clamp(min=1e-12) / 127
        self.weight = (weight.float() / scale[:, None]).round_().to(torch.int8)
        self.scale = scale.to(weight.dtype)
        self.bias = _detached(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW_ROWS:
            out = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scale)
        else:
            parts = self.weight.split(_BLOCK * _AT_ONCE)
            out = torch.cat([F.linear(rows, part.to(x.dtype)) for part in parts], -1)
            out *= self.scale
        return _finished(out, self.bias, x)


class Int4Linear(nn.Module):
    """Every ``GROUP`` weights of a row in 16 even steps from the least to the greatest; on the CPU.

    Computes ``layer`` up to rounding; cannot be trained or saved.

    Raises:
        ConfigError: the rows are no multiple of ``GROUP`` long.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.outputs, inputs = weight.shape
        if inputs % GROUP:
            raise ConfigError(
                f"a layer of the language model has {inputs} inputs",
                expected=f"a multiple of {GROUP}, for 4 bits",
                remedy="load it with low_bit='int8'",
            )
        rows = F.pad(weight.float(), (0, 0, 0, -self.outputs % _BLOCK))
        steps, self.scale_and_zero = _in_steps(rows, weight.dtype)
        self.weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(steps, 1)
        self.stride = _stride()
        self.bias = _detached(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW_ROWS or self.stride is None:
            out = torch.ops.aten._weight_int4pack_mm_for_cpu(
                rows, self.weight, GROUP, self.scale_and_zero
            )
        else:
            out = torch.cat([F.linear(rows, part) for part in self._unpacked(self.stride)], -1)
        return _finished(out[:, : self.outputs], self.bias, x)

    def _unpacked(self, stride: int) -> Iterator[Tensor]:
        """The weight (outputs, inputs), some rows at a time."""
        inputs = self.weight.shape[1] * 2
        blocks = self.weight.reshape(-1, inputs, stride)
        # (groups, blocks, rows of a block, 2) -> (blocks, groups, 1, rows of a block, 2)
        table = self.scale_and_zero.unflatten(1, (-1, 2 * stride)).transpose(0, 1)[:, :, None]
        count = max(1, _BLOCK * _AT_ONCE // (2 * stride))
        for packed, coded in zip(blocks.split(count), table.split(count), strict=True):
            steps = torch.cat([packed & 15, packed >> 4], -1).to(table.dtype) - 8
            scale, zero = coded.unbind(-1)
            values = steps.unflatten(1, (-1, GROUP)) * scale + zero
            yield values.flatten(1, 2).transpose(1, 2).flatten(0, 1)


def lower_linears(module: nn.Module, low_bit: str, device: torch.device) -> None:
    """Replace every linear layer inside ``module``, one after the other.

    Args:
        module: with weights in the type that is to be computed with.
        low_bit: "int8" or "int4".
        device: where the layers are to compute; CUDA's move there.

    Raises:
        ConfigError: no such ``low_bit``, or layers that do not fit it.
        DependencyError: bitsandbytes is not installed, and the device is CUDA.
    """
    if low_bit not in get_args(LowBit):
        raise ConfigError(
            f"low_bit is {low_bit!r}", expected=f"one of {', '.join(get_args(LowBit))}, or nothing"
        )
    make: Callable[[nn.Linear], nn.Module]
    if device.type == "cpu":
        make = Int8Linear if low_bit == "int8" else Int4Linear
    else:
        make = _bitsandbytes(low_bit, device)
    replace_linears(module, make)


def is_low_bit(module: nn.Module) -> bool:
    """Whether a layer inside ``module`` is not what it was trained as any more."""
    return any(
        isinstance(each, Int8Linear | Int4Linear) or type(each).__module__.startswith(_BITSANDBYTES)
        for each in module.modules()
    )


def _in_steps(rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Steps 0..15 (N, K) int32, and (K / GROUP, N, 2): the size of a step, the value of step 8."""
    groups = rows.unflatten(1, (-1, GROUP))
    least, greatest = groups.amin(-1), groups.amax(-1)
    # Rounded first, so that the steps fit what will be computed with.
    scale = ((greatest - least) / 15).clamp(min=1e-8).to(dtype)
    zero = (least + scale.float() * 8).to(dtype)
    steps = (groups - zero.float()[..., None]) / scale.float()[..., None]
    steps = steps.round_().add_(8).clamp_(0, 15).to(torch.int32).flatten(1)
    return steps, torch.stack([scale, zero], -1).transpose(0, 1).contiguous()


@functools.cache
def _stride() -> int | None:
    """How this processor packs 4 bits: row n beside row n + this; None when it is another way."""
    steps = (torch.arange(_BLOCK)[:, None] * 7 + torch.arange(GROUP) * 3) % 16
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(steps.to(torch.int32), 1)
    for stride in (32, 16):
        blocks = packed.reshape(-1, GROUP, stride)
        found = torch.cat([blocks & 15, blocks >> 4], -1).transpose(1, 2).flatten(0, 1)
        if torch.equal(found.long(), steps):
            return stride
    return None


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _finished(out: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    if bias is not None:
        out = out + bias
    return out.reshape(*x.shape[:-1], out.shape[-1])


def _bitsandbytes(low_bit: str, device: torch.device) -> Callable[[nn.Linear], nn.Module]:
    try:
        import bitsandbytes as bnb
    except ImportError as error:
        raise DependencyError(
            f"{low_bit} on {device.type} needs bitsandbytes",
            remedy="install it with: pip install 'mediround[low-bit]'",
        ) from error

    def make(layer: nn.Linear) -> nn.Module:
        weight, sizes = layer.weight.detach(), (layer.in_features, layer.out_features)
        lowered: nn.Module
        if low_bit == "int8":
            lowered = bnb.nn.Linear8bitLt(
                *sizes, bias=layer.bias is not None, has_fp16_weights=False, threshold=6.0
            )
            lowered.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
        else:
            lowered = bnb.nn.Linear4bit(
                *sizes, bias=layer.bias is not None, compute_dtype=weight.dtype, quant_type="nf4"
            )
            lowered.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
        lowered.bias = layer.bias
        return lowered.to(device)

    return make
