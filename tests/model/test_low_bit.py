"""Language models in 8 and 4 bits: near what they were, smaller, and refused where they fail."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import mediround
from mediround.config import LanguageConfig
from mediround.errors import ConfigError, DependencyError, WeightsError
from mediround.model import loading, low_bit
from mediround.model.folder import save_model
from mediround.model.loading import load_model
from mediround.model.low_bit import FEW_ROWS, Int4Linear, Int8Linear, lower_linears
from mediround.model.mediround import MediRound
from mediround.presets import tiny

CPU = torch.device("cpu")
KINDS = {"int8": Int8Linear, "int4": Int4Linear}
# Rounding errors of normal weights in even steps: 1 / (127 * sqrt(12)) of the greatest weight a
# row, 1 / (15 * sqrt(12)) of the range of a group.
OFF = {"int8": 0.012, "int4": 0.12}
TYPES = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def layer(inputs: int, outputs: int, seed: int = 0, *, bias: bool = True) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    made = nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    made.weight.normal_(0, 0.1, generator=generator)
    return made


def off(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=15, deadline=None)
@given(
    groups=st.integers(1, 4),
    outputs=st.integers(1, 150),
    rows=st.integers(1, 40),
    seed=st.integers(0, 99),
    bias=st.booleans(),
)
def test_a_layer_computes_nearly_the_same_for_few_rows_and_many(
    kind: str, dtype: torch.dtype, groups: int, outputs: int, rows: int, seed: int, bias: bool
) -> None:
    exact = layer(64 * groups, outputs, seed, bias=bias)
    x = torch.randn(1, rows, 64 * groups, generator=torch.Generator().manual_seed(seed)).to(dtype)
    bound = TYPES[dtype] * float(exact(x.float()).abs().amax() + x.float().norm(dim=-1).amax() / 5)
    lowered = KINDS[kind](exact.to(dtype))
    many = lowered(x.expand(FEW_ROWS + 1, rows, -1))
    few = torch.cat([lowered(x[:, row]) for row in range(rows)])[None]
    assert few.dtype == many.dtype == dtype
    assert many.shape == (FEW_ROWS + 1, rows, outputs)
    assert float((few - many[:1]).abs().amax()) <= bound


@settings(max_examples=30, deadline=None)
@given(
    groups=st.integers(1, 4),
    outputs=st.integers(1, 150),
    seed=st.integers(0, 99),
    size=st.floats(1e-3, 1e3),
    shift=st.floats(-2, 2),
)
def test_no_weight_is_off_by_more_than_half_a_step(
    groups: int, outputs: int, seed: int, size: float, shift: float
) -> None:
    exact = layer(64 * groups, outputs, seed, bias=False)
    exact.weight.add_(shift).mul_(size)
    weight, unit = exact.weight, torch.eye(64 * groups)
    apart = (Int8Linear(exact)(unit).T - weight).abs()
    assert (apart <= weight.abs().amax(1, keepdim=True) * (1 / 127 / 2 + 1e-6)).all()
    grouped = weight.reshape(outputs, -1, 64)
    ranges = grouped.amax(-1) - grouped.amin(-1)
    apart = (Int4Linear(exact)(unit).T - weight).abs().reshape(grouped.shape).amax(-1)
    assert (apart <= ranges * (1 / 15 / 2) + grouped.abs().amax(-1) * 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_errors_are_those_of_the_steps(kind: str) -> None:
    exact = layer(512, 256)
    x = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))
    found = off(KINDS[kind](exact)(x), exact(x))
    assert OFF[kind] / 4 < found < OFF[kind]


def test_weights_on_the_steps_are_kept_exactly() -> None:
    steps = torch.arange(16).repeat(64, 8).float()
    exact = nn.Linear(128, 64, bias=False).requires_grad_(False)
    exact.weight.copy_(steps - 5)
    x = torch.eye(128)
    torch.testing.assert_close(Int4Linear(exact)(x), exact(x))
    exact.weight.copy_(steps * 8 + 7)
    torch.testing.assert_close(Int8Linear(exact)(x), exact(x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_zeros_gives_zeros(kind: str) -> None:
    exact = layer(64, 64, bias=False)
    exact.weight.zero_()
    assert not KINDS[kind](exact)(torch.ones(20, 64)).any()


def test_another_packing_of_4_bits_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, x = layer(128, 70), torch.randn(30, 128)
    unpacked = Int4Linear(exact)(x)
    monkeypatch.setattr(low_bit, "_stride", lambda: None)
    torch.testing.assert_close(Int4Linear(exact)(x), unpacked)


@pytest.mark.parametrize(("kind", "share"), [("int8", 0.51), ("int4", 0.30)])
def test_weights_take_fewer_bytes(kind: str, share: float) -> None:
    lowered = KINDS[kind](layer(512, 512, bias=False).bfloat16())
    held = [value for value in vars(lowered).values() if isinstance(value, Tensor)]
    assert sum(each.nbytes for each in held) <= share * 512 * 512 * 2


def test_every_layer_of_a_model_is_lowered_and_no_other(tiny: MediRound) -> None:
    model = load_model("tiny", device="cpu", low_bit="int8").model
    kinds = {type(each) for each in model.language.inner.model.modules()}
    assert Int8Linear in kinds
    assert nn.Linear not in kinds
    assert isinstance(model.language.inner.lm_head, nn.Linear)
    assert isinstance(model.projection.layers[-1], nn.Linear)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_answers_in_low_bits(kind: str, dtype: str) -> None:
    exact = mediround.load("tiny", device="cpu", dtype=dtype).network.language
    model = load_model("tiny", device="cpu", dtype=dtype, low_bit=kind).model
    vectors = exact.embed(torch.arange(40)[None])
    with torch.inference_mode():
        found, wanted = model.language(vectors), exact(vectors)
    assert 0 < off(found, wanted) < 6 * OFF[kind]


def test_lengths_that_4_bits_do_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="96 inputs; expected a multiple of 64"):
        lower_linears(nn.Sequential(layer(96, 8)), "int4", CPU)


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="low_bit is 'int3'; expected one of int8, int4"):
        load_model("tiny", device="cpu", low_bit="int3")


def test_without_bitsandbytes_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DependencyError, match=r"needs bitsandbytes; install it with: .*low-bit"):
        lower_linears(nn.Sequential(layer(64, 8)), "int8", torch.device("cuda"))


def test_a_lowered_model_is_not_saved(tmp_path: Path) -> None:
    config = dataclasses.replace(tiny(), language=LanguageConfig())
    model = loading.compose(config).eval().requires_grad_(False)
    model.language.merge_adapter()
    lower_linears(model.language.inner.model, "int4", CPU)
    with pytest.raises(WeightsError, match="rounded to few bits"):
        save_model(model, tmp_path / "model", {})
    assert not (tmp_path / "model").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")  # bitsandbytes says which types it rounds to
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("kind", "dtype"), [("int8", torch.float16), ("int4", torch.bfloat16)])
def test_layers_of_bitsandbytes_are_filled(
    kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed (extra 'low-bit')")
    exact = layer(256, 128).to(dtype)
    x = torch.randn(40, 256).to(dtype)
    wanted = exact(x)
    # Its layers compute on the CPU too, where they are not used otherwise.
    lowered = low_bit._bitsandbytes(kind, CPU)(exact)
    assert off(lowered(x), wanted) < OFF[kind] + 0.02
    assert low_bit.is_low_bit(nn.Sequential(lowered))
