from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from mediround.config import TinyVitConfig
from mediround.model.mediround import MediRound
from mediround.model.segmenter import Segmenter
from mediround.model.vision_encoder import (
    ConvNorm,
    TinyVit,
    WindowAttention,
    WindowBlock,
    fold_batch_norms,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def encoder(tiny: MediRound) -> TinyVit:
    assert isinstance(tiny.segmenter, Segmenter)
    return tiny.segmenter.vision


def test_trunk_and_tail_are_the_whole(encoder: TinyVit) -> None:
    pixels = noise(2, 3, 64, 64)
    trunk = encoder.trunk(pixels)
    assert trunk.shape == (2, 16, 16, 16)
    whole = encoder(pixels)
    assert whole.shape == (2, 16, 16, 16)
    torch.testing.assert_close(encoder.tail(trunk), whole, atol=0, rtol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_folded_convolution_computes_the_same(stride: int) -> None:
    layer = ConvNorm(6, 6, kernel=3, stride=stride, groups=2).eval()
    norm = layer[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.copy_(noise(6, seed=2))
    norm.running_var.copy_(noise(6, seed=3).abs() + 0.1)
    x = noise(2, 6, 9, 9)
    torch.testing.assert_close(layer.folded()(x), layer(x), atol=1e-5, rtol=1e-5)


def test_folding_changes_no_feature_and_leaves_no_norm(encoder: TinyVit) -> None:
    folded = copy.deepcopy(encoder)
    fold_batch_norms(folded)
    assert not any(isinstance(m, nn.BatchNorm2d | ConvNorm) for m in folded.modules())
    pixels = noise(1, 3, 64, 64)
    torch.testing.assert_close(folded(pixels), encoder(pixels), atol=1e-5, rtol=1e-4)


def test_images_of_a_batch_do_not_mix(encoder: TinyVit) -> None:
    pixels = noise(2, 3, 64, 64)
    together = encoder(pixels)
    torch.testing.assert_close(together[1], encoder(pixels[1:])[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", [4, 7, 10])
def test_windows_do_not_see_each_other(side: int) -> None:
    block = WindowBlock(4, 2, 4, 2).eval()
    x = noise(1, side, side, 4)
    changed = x.clone()
    changed[0, 1, 2] += torch.arange(4.0)
    difference = (block._attend(changed) - block._attend(x)).abs().amax(-1)[0]
    touched = difference > 1e-6
    assert touched[:4, :4].all()
    assert not touched[4:].any()
    assert not touched[:, 4:].any()


def test_biases_are_numbered_as_their_offsets_first_occur() -> None:
    window = 5
    attention = WindowAttention(4, 2, window)
    seen: dict[tuple[int, int], int] = {}
    points = [(row, column) for row in range(window) for column in range(window)]
    for a, (y, x) in enumerate(points):
        for b, (v, u) in enumerate(points):
            number = seen.setdefault((abs(y - v), abs(x - u)), len(seen))
            assert attention.bias_index[a, b] == number


def test_attention_is_softmax_of_products_and_biases() -> None:
    attention = WindowAttention(6, 2, 2).eval()
    nn.init.normal_(attention.attention_biases, generator=torch.Generator().manual_seed(1))
    x = noise(1, 4, 6)
    rows = attention.qkv(attention.norm(x))[0]
    heads = []
    for head in range(2):
        q, k, v = (rows[:, head * 9 + 3 * part : head * 9 + 3 * part + 3] for part in range(3))
        weights = q @ k.T / 3**0.5 + attention.attention_biases[head][attention.bias_index]
        heads.append(weights.softmax(-1) @ v)
    expected = attention.proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x)[0], expected, atol=1e-5, rtol=1e-5)


def test_the_grid_has_a_quarter_of_the_side_whatever_the_windows() -> None:
    config = TinyVitConfig(
        widths=(4, 4, 8, 8),
        depths=(1, 1, 1, 1),
        heads=(1, 1, 2, 2),
        windows=(3, 3, 5, 3),
        expand=2,
        out=6,
    )
    assert TinyVit(config).eval()(noise(1, 3, 32, 32)).shape == (1, 6, 8, 8)
