from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from mediround.model.kv_cache import KeyValueCache
from mediround.model.language_model import LanguageModel
from mediround.model.mediround import MediRound
from mediround.model.roles import LanguageRole

LENGTH = 20


def vectors(model: MediRound, seed: int, length: int = LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(length, model.language.width, generator=generator)


def keys(cache: KeyValueCache) -> list[Tensor]:
    found = []
    for layer in cache.tensors.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        found += [layer.keys, layer.values]
    return found


def read(language: LanguageRole, cache: KeyValueCache, part: Tensor, marks: range) -> Tensor:
    hidden: Tensor = language(part[None], cache)[0]
    cache.append(list(marks))
    return hidden


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, LENGTH - 1), max_size=4, unique=True).map(sorted), st.integers(0, 99)
)
@torch.inference_mode()
def test_what_was_read_in_parts_is_what_was_read_at_once(
    tiny: MediRound, cuts: list[int], seed: int
) -> None:
    language, everything = tiny.language, vectors(tiny, seed)
    whole = language.logits(language(everything[None])[0])
    cache = KeyValueCache()
    parts = [
        read(language, cache, everything[a:b], range(a, b))
        for a, b in zip([0, *cuts], [*cuts, LENGTH], strict=True)
    ]
    torch.testing.assert_close(language.logits(torch.cat(parts)), whole, atol=1e-5, rtol=1e-5)
    assert len(cache) == LENGTH


@settings(max_examples=25, deadline=None)
@given(st.integers(0, LENGTH), st.integers(1, 8), st.integers(0, 99))
@torch.inference_mode()
def test_cutting_off_what_was_added_leaves_what_was_there(
    tiny: MediRound, start: int, added: int, seed: int
) -> None:
    language, cache = tiny.language, KeyValueCache()
    if start:
        read(language, cache, vectors(tiny, seed, start), range(start))
    before = [tensor.clone() for tensor in keys(cache)]
    read(language, cache, vectors(tiny, seed + 1, added), range(added))
    cache.truncate(start)
    assert len(cache) == start
    assert cache.tensors.get_seq_length() == start
    for old, new in zip(before, keys(cache), strict=bool(start)):
        torch.testing.assert_close(new, old, atol=0, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
)
@torch.inference_mode()
def test_reuse_keeps_the_common_beginning_and_leaves_one_to_read(
    tiny: MediRound, old: list[int], new: list[int]
) -> None:
    table = vectors(tiny, 0, 3)
    cache = KeyValueCache()
    tiny.language(table[old][None], cache)
    cache.append(old)
    good = cache.reuse(new)
    common = 0
    while common < min(len(old), len(new) - 1) and old[common] == new[common]:
        common += 1
    assert good == len(cache) == cache.tensors.get_seq_length() == common
    ours = tiny.language(table[new[good:]][None], cache)[0, -1]
    afresh = tiny.language(table[new][None])[0, -1]
    torch.testing.assert_close(ours, afresh, atol=1e-5, rtol=1e-5)


class InterruptedReadingError(Exception):
    pass


@torch.inference_mode()
def test_an_interrupted_reading_leaves_no_trace(make_model: Callable[[], MediRound]) -> None:
    model = make_model()
    everything = vectors(model, 5)
    cache = KeyValueCache()
    read(model.language, cache, everything[:9], range(9))

    def stop(*_: object) -> None:
        raise InterruptedReadingError

    handle = model.language.inner.model.layers[-1].register_forward_pre_hook(stop)
    with pytest.raises(InterruptedReadingError):
        model.language(everything[9:][None], cache)
    handle.remove()
    assert cache.reuse(range(LENGTH)) == 9
    resumed = read(model.language, cache, everything[9:], range(9, LENGTH))
    whole = model.language(everything[None])[0, 9:]
    torch.testing.assert_close(resumed, whole, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_on_the_right_changes_nothing(tiny: MediRound) -> None:
    everything = vectors(tiny, 1)
    mask = torch.arange(LENGTH)[None] < 12
    padded = tiny.language(everything[None], mask=mask)[0, :12]
    short = tiny.language(everything[None, :12])[0]
    torch.testing.assert_close(padded, short, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_merging_the_adapter_changes_no_answer(make_model: Callable[[], MediRound]) -> None:
    model = make_model()
    everything = vectors(model, 2)
    before = model.language(everything[None])
    names = [name for name, _ in model.named_parameters() if "lora_" in name]
    assert names
    assert all(model.get_parameter(name).abs().sum() > 0 for name in names)
    model.language.merge_adapter()
    assert not any("lora_" in name for name, _ in model.named_parameters())
    torch.testing.assert_close(model.language(everything[None]), before, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_adapter_matters(make_model: Callable[[], MediRound]) -> None:
    model = make_model()
    everything = vectors(model, 2)
    before = model.language(everything[None])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
    assert (model.language(everything[None]) - before).abs().max() > 1e-3


@torch.inference_mode()
def test_seg_has_its_own_vector_and_its_own_score(tiny: MediRound) -> None:
    language, seg = tiny.language, tiny.language.tokenizer.seg
    assert isinstance(language, LanguageModel)
    ids = torch.tensor([[seg, 5], [7, seg]])
    embedded = language.embed(ids)
    torch.testing.assert_close(embedded[0, 0], language.seg_in)
    torch.testing.assert_close(embedded[1, 1], language.seg_in)
    table = language.inner.get_input_embeddings().weight
    assert isinstance(table, Tensor)
    torch.testing.assert_close(embedded[0, 1], table[5])
    hidden = torch.nn.functional.one_hot(torch.tensor(3), language.width).float()
    scores = language.logits(hidden)
    assert scores.shape == (seg + 1,)
    assert scores[-1] == language.seg_out[3]
    torch.testing.assert_close(scores[:-1], language.inner.lm_head.weight[:, 3])
