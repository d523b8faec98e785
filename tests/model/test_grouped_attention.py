"""Grouped attention computes what transformers' own does."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from mediround.model.grouped_attention import GROUPED


@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("new", [1, 5])
@pytest.mark.parametrize("padded", [False, True])
def test_equal_to_repeated_keys(key_heads: int, new: int, padded: bool) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=48,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=key_heads,
    )
    model = LlamaForCausalLM(config).requires_grad_(False).model
    before, after = torch.randn(2, 7, 48), torch.randn(2, new, 48)
    mask = torch.ones(2, 7 + new, dtype=torch.long)
    if padded:
        mask[1, -1] = 0

    def states(kind: str) -> torch.Tensor:
        model.set_attn_implementation(kind)
        cache = DynamicCache()
        first = model(inputs_embeds=before, past_key_values=cache).last_hidden_state
        then = model(inputs_embeds=after, past_key_values=cache, attention_mask=mask)
        return torch.cat([first, then.last_hidden_state], dim=1)

    expected = states("sdpa")
    if padded:  # what stands at padding means nothing
        expected, found = (each[:, :-1] for each in (expected, states(GROUPED)))
    else:
        found = states(GROUPED)
    torch.testing.assert_close(found, expected)
