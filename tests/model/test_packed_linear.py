"""Packed layers compute what plain ones compute."""

import pytest
import torch
from torch import nn

from mediround.model.packed_linear import ROWS_ALIKE, PackedLinear, can_pack, pack_linears


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_equals_plain(rows: int, bias: bool) -> None:
    torch.manual_seed(rows)
    plain = nn.Linear(48, 33, bias=bias).bfloat16().requires_grad_(False)
    x = torch.randn(2, rows, 48).bfloat16()
    torch.testing.assert_close(PackedLinear(plain, 16)(x), plain(x))


@pytest.mark.skipif(
    not torch.cpu.get_capabilities().get("amx_bf16"), reason="promised for processors with AMX"
)
@pytest.mark.parametrize("sizes", [(576, 192), (1536, 576), (48, 33)])
def test_a_few_rows_are_computed_as_each_alone(sizes: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = PackedLinear(nn.Linear(*sizes).bfloat16().requires_grad_(False), ROWS_ALIKE)
    x = torch.randn(ROWS_ALIKE, sizes[0]).bfloat16()
    assert torch.equal(layer(x), torch.cat([layer(row[None]) for row in x]))


def test_every_linear_layer_inside_is_replaced() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 2)))
    model.bfloat16().requires_grad_(False)
    x = torch.randn(3, 8).bfloat16()
    expected = model(x)
    assert can_pack(model)
    pack_linears(model)
    assert not any(isinstance(layer, nn.Linear) for layer in model.modules())
    torch.testing.assert_close(model(x), expected)


def test_only_bfloat16_is_packed() -> None:
    assert not can_pack(nn.Linear(2, 2))
