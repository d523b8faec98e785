"""Linear layers whose weights oneDNN has already laid out for its own products.

With few rows, as when an answer grows word by word, half of a product's time goes into arranging
the weight, again at every call. A packed layer arranges it once. CPU and bfloat16 only.
"""

from functools import partial

import torch
from torch import Tensor, nn

from mediround.model.linears import replace_linears
from mediround.model.processor import computes_in

ROWS_ALIKE = 16
"""Up to so many rows of one product, a processor with AMX computes each as alone, to the bit."""


class PackedLinear(nn.Module):
    """Computes what ``layer`` computes; cannot be trained, saved or moved."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        """Args: ``rows``, the number of rows that the layout is chosen for; any will work."""
        super().__init__()
        weight = layer.weight.detach().contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        bias: Tensor | None = layer.bias
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs), bfloat16."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return out


def can_pack(module: nn.Module) -> bool:
    """Whether every weight of ``module`` is of the type that packing helps, on this processor."""
    return (
        torch.backends.mkldnn.is_available()
        and computes_in("bfloat16", torch.device("cpu"))
        and all(parameter.dtype == torch.bfloat16 for parameter in module.parameters())
    )


def pack_linears(module: nn.Module, rows: int = ROWS_ALIKE) -> None:
    """Replace every linear layer inside ``module``."""
    replace_linears(module, partial(PackedLinear, rows=rows))


def is_packed(module: nn.Module) -> bool:
    """Whether :func:`pack_linears` has been at ``module``."""
    return any(isinstance(each, PackedLinear) for each in module.modules())
