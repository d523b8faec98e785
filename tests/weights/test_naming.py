"""Wrappers of peft and DistributedDataParallel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mediround.weights.naming import NAMINGS, Naming, naming_of, strip, wrap

_WORD = st.text("abcdefghij_0123456789", min_size=1, max_size=6)
_LAYER = st.lists(_WORD, min_size=1, max_size=3).map(lambda words: "model." + ".".join(words))


@given(layers=st.sets(_LAYER, min_size=1, max_size=6), adapted=st.data())
@pytest.mark.parametrize("naming", NAMINGS)
def test_what_is_wrapped_is_stripped_to_the_same(
    naming: Naming, layers: set[str], adapted: st.DataObject
) -> None:
    names = {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
    for layer in adapted.draw(st.sets(st.sampled_from(sorted(layers)))):
        names |= {f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"}
    keys = wrap(names, naming)
    assert set(keys) == names
    assert len(set(keys.values())) == len(names)
    assert strip(keys.values()) == {key: name for name, key in keys.items()}


def test_names_are_those_that_peft_writes(official: dict[str, torch.Tensor]) -> None:
    names = list(official)
    layer = "model.layers.0.self_attn.q_proj"
    old, new = wrap(names, "peft-0.4"), wrap(names, "peft")
    assert old[f"{layer}.weight"] == f"base_model.model.{layer}.weight"
    assert new[f"{layer}.weight"] == f"base_model.model.{layer}.base_layer.weight"
    for keys in (old, new):
        assert keys[f"{layer}.lora_A.weight"] == f"base_model.model.{layer}.lora_A.default.weight"
        assert keys["lm_head.weight"] == "base_model.model.lm_head.weight"
    untouched = "model.layers.0.self_attn.k_proj.weight"
    assert new[untouched] == f"base_model.model.{untouched}"
    assert [naming_of(wrap(names, n).values()) for n in NAMINGS] == list(NAMINGS)


def test_a_trained_copy_supersedes_the_original() -> None:
    keys = [
        "base_model.model.lm_head.original_module.weight",
        "base_model.model.lm_head.modules_to_save.default.weight",
    ]
    assert list(strip(keys).values()) == [None, "lm_head.weight"]


def test_a_data_parallel_prefix_is_on_every_key_or_none() -> None:
    assert strip(["module.a.weight", "module.b"]) == {
        "module.a.weight": "a.weight",
        "module.b": "b",
    }
    assert strip(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}
