"""Fused layers of an adapter compute what peft's compute, forwards and backwards."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from mediround.training.staged.quicker import fuse


def adapted(*, bias: bool = False, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5, bias=bias), nn.Linear(5, 4, bias=bias))
    model.requires_grad_(False)
    wanted = LoraConfig(r=2, lora_alpha=6, lora_dropout=dropout, target_modules=["0", "1"])
    inject_adapter_in_model(wanted, model)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    return model


def learned(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    out = model(x)
    out.float().pow(2).sum().backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert len(found) == 4
    assert x.grad is not None
    return {**found, "out": out.detach(), "x": x.grad}


def test_equals_peft_forwards_and_backwards() -> None:
    usual = adapted()
    fused = copy.deepcopy(usual)
    fuse(fused)
    x = torch.randn(3, 4, 6)
    expected = learned(usual, x.clone().requires_grad_())
    found = learned(fused, x.clone().requires_grad_())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_computes_in_the_type_of_autocast_and_learns_in_its_own() -> None:
    usual = adapted()
    fused = copy.deepcopy(usual)
    fuse(fused)
    x = torch.randn(3, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        expected = learned(usual, x.clone().requires_grad_())
        found = learned(fused, x.clone().requires_grad_())
    assert found["out"].dtype == expected["out"].dtype == torch.bfloat16
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        apart = (found[name] - tensor).abs().max()
        assert apart <= 0.05 * tensor.abs().max(), name


def test_an_adapter_that_is_switched_off_stays_off() -> None:
    model = adapted()
    fuse(model)
    x = torch.randn(2, 6)
    with_adapter = model(x)
    for layer in (model[0], model[1]):
        layer.enable_adapters(enabled=False)  # type: ignore[operator]
    first, second = (layer.get_submodule("base_layer") for layer in model)
    torch.testing.assert_close(model(x), second(first(x)))
    assert not torch.allclose(model(x), with_adapter)


@pytest.mark.parametrize("changes", [{"bias": True}, {"dropout": 0.5}])
def test_layers_with_more_than_two_factors_are_left_alone(changes: dict[str, object]) -> None:
    model = adapted(**changes)  # type: ignore[arg-type]
    fuse(model)
    assert all("forward" not in vars(layer) for layer in model)
