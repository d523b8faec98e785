"""A merged adapter can be taken out for a while, and is back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from mediround.model.low_bit import lower_linears
from mediround.model.mediround import MediRound
from mediround.model.packed_linear import pack_linears


def vectors(model: MediRound) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    made = torch.randn(1, 12, model.language.width, generator=generator)
    return made.to(model.language.inner.dtype)


def without_factors(model: MediRound) -> Tensor:
    """States of the pretrained weights alone: the adapter's second factor is zero."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
    found: Tensor = model.language(vectors(model))
    return found


@torch.inference_mode()
def test_plain_is_the_pretrained_model(make_model: Callable[[], MediRound]) -> None:
    pretrained = without_factors(make_model())
    model = make_model()
    model.language.merge_adapter()
    adapted = model.language(vectors(model))
    with model.language.plain():
        torch.testing.assert_close(model.language(vectors(model)), pretrained, atol=1e-4, rtol=1e-3)
    assert (adapted - pretrained).abs().max() > 1e-2
    assert torch.equal(model.language(vectors(model)), adapted)


@torch.inference_mode()
def test_layers_that_keep_their_weights_are_the_pretrained_ones_exactly(
    make_model: Callable[[], MediRound],
) -> None:
    first, second = make_model(), make_model()
    without_factors(first)
    second.language.merge_adapter(1)
    ids, mask = torch.arange(9)[None], torch.ones(1, 9, dtype=torch.bool)
    adapted = second.language.hear(ids, mask, 1)
    with second.language.plain():
        assert torch.equal(second.language.hear(ids, mask, 1), first.language.hear(ids, mask, 1))
    assert not torch.equal(second.language.hear(ids, mask, 1), first.language.hear(ids, mask, 1))
    assert torch.equal(second.language.hear(ids, mask, 1), adapted)


@pytest.mark.parametrize("how", ["packed", "int8"])
@torch.inference_mode()
def test_whatever_holds_the_merged_weights(make_model: Callable[[], MediRound], how: str) -> None:
    pretrained = without_factors(make_model())
    model = make_model()
    model.language.merge_adapter()
    model.language.to(torch.bfloat16)
    if how == "packed":
        pack_linears(model.language.inner.model)
    else:
        lower_linears(model.language.inner.model, "int8", torch.device("cpu"))
    adapted = model.language(vectors(model)).float()
    with model.language.plain():
        found = model.language(vectors(model)).float()
    assert (found - pretrained).abs().mean() < 0.25 * (adapted - pretrained).abs().mean()


@torch.inference_mode()
def test_an_error_does_not_leave_it_out(make_model: Callable[[], MediRound]) -> None:
    model = make_model()
    model.language.merge_adapter()
    adapted = model.language(vectors(model))
    with pytest.raises(KeyboardInterrupt), model.language.plain():
        raise KeyboardInterrupt
    assert torch.equal(model.language(vectors(model)), adapted)


@torch.inference_mode()
def test_one_thread_without_the_adapter_leaves_it_to_the_others(
    make_model: Callable[[], MediRound],
) -> None:
    model = make_model()
    model.language.merge_adapter()
    adapted, inputs = model.language(vectors(model)), vectors(model)
    with ThreadPoolExecutor(1) as other, model.language.plain():
        beside = other.submit(torch.inference_mode()(model.language), inputs).result()
        assert not torch.equal(model.language(inputs), adapted)
    assert torch.equal(beside, adapted)
