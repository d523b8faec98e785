"""A low-rank adapter trained through merged weights: one wide product a layer instead of three.

Forwards, ``y = x W'`` with ``W = W0 + s B A`` in the model's own type, as inference does.
Backwards, the factors get their gradients without that of ``W`` ever being formed:
``dA = s (g B)' x`` and ``dB = s g' (x A')``, both narrow.
"""

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from mediround.model.language_model import LanguageModel


class _Product(torch.autograd.Function):
    """``x W'``, with gradients for ``x`` and for the two factors that ``W`` was merged from."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, down, up)
        ctx.scale = scale
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        x, weight, down, up = ctx.saved_tensors
        change, seen = outputs[0].flatten(0, -2), x.flatten(0, -2)
        narrow = change @ up.to(change.dtype)
        to_down = (narrow.T @ seen).float() * ctx.scale
        # The narrow matrix on the left: a tall product with it on the right is far slower.
        to_up = ((seen @ down.to(seen.dtype).T).T @ change).T.float() * ctx.scale
        return (change @ weight).view_as(x), None, to_down, to_up, None


class MergedLinear(nn.Module):
    """A linear layer without bias whose weight is its pretrained one plus ``scale * up @ down``.

    Attributes:
        down: float32 (rank, inputs). up: float32 (outputs, rank). Both are trained.
    """

    base: Tensor
    weight: Tensor

    def __init__(self, layer: LoraLayer) -> None:
        super().__init__()
        down, up, base = layer.lora_A["default"], layer.lora_B["default"], layer.get_base_layer()
        assert isinstance(down, nn.Linear)
        assert isinstance(up, nn.Linear)
        assert isinstance(base, nn.Linear)
        self.down = nn.Parameter(down.weight.detach().float())
        self.up = nn.Parameter(up.weight.detach().float())
        self.scale = float(layer.scaling["default"])
        self.register_buffer("base", base.weight.detach())
        self.register_buffer("weight", self.base.clone())
        self.publish()

    @torch.no_grad()
    def publish(self) -> None:
        """Write the factors' present values into the weight that is used."""
        self.weight.copy_(torch.addmm(self.base.float(), self.up, self.down, alpha=self.scale))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        out: Tensor = _Product.apply(x, self.weight, self.down, self.up, self.scale)
        return out


class MergedAdapter(nn.Module):
    """All adapted layers of a language model, by name; puts itself in their place."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.names: list[str] = []
        self.layers = nn.ModuleList()
        for name, layer in list(language.inner.named_modules()):
            if isinstance(layer, LoraLayer):
                merged = MergedLinear(layer)
                parent, _, leaf = name.rpartition(".")
                setattr(language.inner.get_submodule(parent), leaf, merged)
                self.names.append(name)
                self.layers.append(merged)

    def publish(self) -> None:
        """Make every layer use its factors' present values."""
        for layer in self.layers:
            assert isinstance(layer, MergedLinear)
            layer.publish()

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The factors under the names that the model gives them, behind ``prefix``."""
        found: dict[str, Tensor] = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            assert isinstance(layer, MergedLinear)
            found[f"{prefix}{name}.lora_A.default.weight"] = layer.down.detach()
            found[f"{prefix}{name}.lora_B.default.weight"] = layer.up.detach()
        return found
