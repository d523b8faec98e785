"""The merged adapter computes what peft's own layers compute, forwards and backwards."""

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from mediround.model.language_model import LanguageModel
from mediround.presets import tiny
from mediround.training.parts.merged_adapter import MergedAdapter, MergedLinear
from mediround.training.progress import restore


def _adapted() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5, bias=False)).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=6, target_modules=["0"]), model)
    model[0].lora_B["default"].weight.data.normal_()  # type: ignore[index, union-attr]
    return model[0]


def test_equals_peft_forwards_and_backwards() -> None:
    layer = _adapted()
    merged = MergedLinear(layer)  # type: ignore[arg-type]
    one = torch.randn(3, 4, 6, requires_grad=True)
    two = one.detach().clone().requires_grad_(True)
    expected, found = layer(one), merged(two)
    torch.testing.assert_close(found, expected)
    expected.pow(2).sum().backward()
    found.pow(2).sum().backward()
    torch.testing.assert_close(two.grad, one.grad)
    factors = [(merged.down, layer.lora_A), (merged.up, layer.lora_B)]
    for own, theirs in factors:
        torch.testing.assert_close(own.grad, theirs["default"].weight.grad)  # type: ignore[index, union-attr]


def test_trained_factors_go_back_under_the_models_own_names() -> None:
    config = tiny().language
    torch.manual_seed(1)
    language = LanguageModel.build(config, torch.float32)
    torch.manual_seed(1)
    fresh = LanguageModel.build(config, torch.float32)
    adapter = MergedAdapter(language)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    adapter.publish()
    fresh.requires_grad_(False)
    for name, parameter in fresh.named_parameters():
        parameter.requires_grad_("lora_" in name)
    restore(fresh, adapter.tensors("inner."))
    vectors = torch.randn(1, 7, language.width)
    torch.testing.assert_close(language(vectors), fresh(vectors), rtol=1e-4, atol=1e-5)
