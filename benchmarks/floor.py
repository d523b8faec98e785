"""The least time that a round of the paper's model can take, from first principles.

A product of matrices takes its operations over the device's rate; a token that is said takes every
weight of the language model read once over the memory's bandwidth. Nothing else is counted: no
launches, no softmax, no copies, no mask decoder (about 3 ms where it was measured).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mediround.config import ClipPerceptionConfig, ModelConfig, SamVitConfig
from mediround.model.loading import compose
from paper_sizes import SIZES, sizes


def floor(
    model: str, bandwidth: float, tflops: float, tokens: Sequence[int], answer: int = 10
) -> Mapping[str, float]:
    """Seconds of the first round, a later one, and a later one that draws before it speaks.

    Args:
        model: of :data:`paper_sizes.SIZES`, with two bytes a weight.
        bandwidth: GB/s.
        tflops: TFLOP/s in the model's type.
        tokens: new positions of each round, the image's in the first.
        answer: tokens of an answer, said one after the other.
    """
    config = SIZES[model]()
    with torch.device("meta"):
        counts = sizes(compose(config))
    weights = counts["language layers"] + counts["language head"]
    rate, speed = tflops * 1e12, bandwidth * 1e9
    said = answer * weights * 2 / speed
    crop = clip_operations(config) / rate
    image = crop + sam_operations(config) / rate
    reading = [2 * weights * count / rate for count in tokens]
    read_once = 2 * weights / speed
    later = max(reading[1:], default=0.0)
    return {
        "the first round": image + max(reading[0], read_once) + said,
        "a later round": crop + max(later, read_once) + said,
        "a later round, mask first": crop + max(later, read_once),
    }


def clip_operations(config: ModelConfig) -> float:
    """Of one image or crop."""
    sizes = config.perception
    assert isinstance(sizes, ClipPerceptionConfig)
    count = (sizes.side // sizes.patch) ** 2 + 1
    layers = sizes.layers + 1 + sizes.layer
    return layers * _layer(count, count, sizes.width, sizes.mlp)


def sam_operations(config: ModelConfig) -> float:
    """Of one image."""
    sizes = config.vision
    assert isinstance(sizes, SamVitConfig)
    side = sizes.side // sizes.patch
    # Windows are padded at the right and lower edge.
    padded = -(-side // sizes.window) * sizes.window
    windowed = _layer(padded**2, sizes.window**2, sizes.width, sizes.mlp)
    everywhere = len(sizes.global_layers)
    return (
        everywhere * _layer(side**2, side**2, sizes.width, sizes.mlp)
        + (sizes.layers - everywhere) * windowed
    )


def _layer(count: int, seen: int, width: int, inner: int) -> float:
    """A transformer's layer over ``count`` positions, each of which sees ``seen``."""
    products = count * width * (4 * width + 2 * inner)
    return 2.0 * (products + 2 * count * seen * width)
