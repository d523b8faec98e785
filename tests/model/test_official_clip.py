"""CLIP as the language model's eye."""

from __future__ import annotations

import pytest
import torch

from mediround.model.official.clip import ClipPerception
from mediround.presets import official_tiny


@pytest.mark.parametrize("crops", [1, 3])
def test_the_class_token_alone_is_the_one_among_all(crops: int) -> None:
    torch.manual_seed(0)
    perception = ClipPerception(official_tiny()).eval().requires_grad_(False)
    for parameter in perception.tower.parameters():
        parameter.normal_(0, 0.3)
    pixels = torch.randn(crops, 3, 336, 336)
    every = perception.features(pixels)
    alone = perception.features(pixels, classes=True)
    assert every.shape == (crops, 577, 32)
    assert float(every[:, 0].std()) > 0.1
    torch.testing.assert_close(alone, every[:, :1], atol=1e-4, rtol=1e-4)
