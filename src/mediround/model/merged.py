"""A low-rank adapter inside the weights that it adapts, which can be taken out for a while.

Merged, an adapter costs nothing. Its factors are kept beside the merged weight, so that without
the adapter is ``y = W'x - s B (A x)``: two narrow products more, and no second set of weights. With
few rows, as in one question, these take nearly as long as the wide one; where that counts, the
pretrained weights are kept as well.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn


class Switch(threading.local):
    """Whether an adapter counts, in this thread; one for all layers of a model.

    A question is read without the adapter while answers to others grow with it.
    """

    on = True

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A copy of a model has a switch of its own."""
        return Switch, ()


class SwitchableLinear(nn.Module):
    """A linear layer with its adapter merged.

    Without the adapter it computes the pretrained layer: exactly where that is ``kept``, elsewhere
    up to the rounding of the merged weight.
    """

    down: Tensor
    up: Tensor

    def __init__(self, layer: LoraLayer, switch: Switch, *, kept: bool) -> None:
        super().__init__()
        down, up = layer.lora_A["default"], layer.lora_B["default"]
        assert isinstance(down, nn.Linear)
        assert isinstance(up, nn.Linear)
        self.scale = float(layer.scaling["default"])
        self.switch = switch
        self.register_buffer("down", down.weight.detach().clone(), persistent=False)
        self.register_buffer("up", up.weight.detach().clone(), persistent=False)
        self.pretrained = deepcopy(layer.get_base_layer()) if kept else None
        layer.merge()
        self.merged = layer.get_base_layer()

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        if self.pretrained is not None and not self.switch.on:
            return self.pretrained(x)  # type: ignore[no-any-return]  # modules return Any
        out: Tensor = self.merged(x)
        if self.switch.on:
            return out
        narrow = F.linear(x, self.down.to(x.dtype))
        return out - self.scale * F.linear(narrow, self.up.to(x.dtype))


def merge(module: nn.Module, kept: Iterable[nn.Module] = ()) -> Switch:
    """Put a :class:`SwitchableLinear` in the place of every adapted layer inside ``module``.

    The pretrained weights of what is inside ``kept`` stay in memory as well.
    """
    switch = Switch()
    inside = {id(each) for part in kept for each in part.modules()}
    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            parent, _, leaf = name.rpartition(".")
            made = SwitchableLinear(layer, switch, kept=id(layer) in inside)
            setattr(module.get_submodule(parent), leaf, made)
    return switch


@contextmanager
def switched_off(switch: Switch) -> Iterator[None]:
    """Compute without the adapter."""
    before = switch.on
    switch.on = False
    try:
        yield
    finally:
        switch.on = before
