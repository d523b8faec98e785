"""Other layers in the place of linear ones."""

from collections.abc import Callable

from torch import nn


def replace_linears(module: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> None:
    """Put ``make(layer)`` in the place of every linear layer inside ``module``.

    One after the other, and none is held any longer: no more memory than that of one layer besides.
    """
    for name in [name for name, each in module.named_modules() if isinstance(each, nn.Linear)]:
        parent, _, leaf = name.rpartition(".")
        layer = module.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        setattr(module.get_submodule(parent), leaf, make(layer))
