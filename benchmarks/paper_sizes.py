"""The paper's model with its real dimensions and random weights, for ``rounds.py``.

    paper-135m   SAM ViT-B at 1024 pixels, CLIP ViT-L at 336, a language model of SmolLM2's size
    paper-7b     the same with Mistral-7B's dimensions

Weights are filled part by part where they are to stay, and rounded to few bits layer by layer, so
that a model needs no more memory than it has in the end. What a token costs does not depend on
what it says: the tokenizer knows bytes alone, and the questions are short in its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import nn

from mediround.config import MistralConfig, ModelConfig
from mediround.model.loading import arrange, compose
from mediround.model.low_bit import lower_linears
from mediround.model.mediround import MediRound
from mediround.presets import mediround_7b
from mediround.session import Model

SIZES: Mapping[str, Callable[[], ModelConfig]] = {
    "paper-135m": lambda: dataclasses.replace(
        mediround_7b(),
        name="paper-135m",
        language=MistralConfig(width=576, layers=30, heads=9, kv_heads=3, inner=1536),
    ),
    "paper-7b": lambda: dataclasses.replace(mediround_7b(), name="paper-7b"),
}


def build(name: str, device: str, dtype: str, low_bit: str | None) -> Model:
    """A model of :data:`SIZES`.

    Raises:
        ConfigError: there is no such type, or no such number of bits.
    """
    config = dataclasses.replace(SIZES[name](), dtype=dtype)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place, kind = torch.device(device), getattr(torch, dtype)
    with torch.device("meta"):
        network = compose(config).eval().requires_grad_(False)
    # Types first: nothing of the wrong one ever takes memory.
    network.segmenter.to(kind)
    network.perception.lower(kind)
    network.language.to(kind)
    layers = network.language.inner.model.layers
    assert isinstance(layers, nn.ModuleList)
    for number, layer in enumerate(layers):
        _fill(layer, place, seed=number)
        if low_bit is not None:
            lower_linears(layer, low_bit, place)
    _fill(network, place, seed=len(layers))
    network.perception.refill()
    network.language.refill()
    arrange(network.language, place)
    network.segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
    return Model(network.to(place), name, "0" * 64)


def sizes(network: MediRound) -> dict[str, int]:
    """Values (not bytes) of the large parts; layers in few bits count what they stand for."""
    language = network.config.language
    assert isinstance(language, MistralConfig)
    head = language.width // language.heads
    layer = language.width * (
        2 * language.width + 2 * language.kv_heads * head + 3 * language.inner
    )
    return {
        "segmenter": sum(each.numel() for each in network.segmenter.parameters()),
        "perception": sum(each.numel() for each in network.perception.parameters()),
        "language layers": language.layers * layer,
        "language head": language.vocabulary * language.width,
    }


def _fill(module: nn.Module, device: torch.device, seed: int) -> None:
    """Give every tensor that is still without values noise, and every norm ones."""
    noise = 0.02 * torch.randn(1_000_003, generator=torch.Generator().manual_seed(seed))
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        for name, tensor in own.items():
            if tensor.device.type != "meta":
                continue
            values = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
            if "norm" in type(part).__name__.lower():
                values.fill_(float(name == "weight"))
            else:
                _tile(values.view(-1), noise.to(device, tensor.dtype))
            if name in part._parameters:
                setattr(part, name, nn.Parameter(values, requires_grad=False))
            else:
                part.register_buffer(name, values, persistent=name in part.state_dict())


def _tile(values: torch.Tensor, noise: torch.Tensor) -> None:
    """Repeat ``noise`` over ``values``; its length is prime, so no two rows are alike."""
    whole = len(values) // len(noise) * len(noise)
    values[:whole].view(-1, len(noise)).copy_(noise)
    values[whole:].copy_(noise[: len(values) - whole])
