"""Attention of several query heads to one key head, without a copy of the keys for each.

A later round reads some tens of new positions against hundreds of kept ones. Transformers then
repeats keys and values for every query head of their group, in every layer. Here the heads of a
group lie below each other as rows of one product, and the mask is added, not looked up. For
processors; importing this module registers the name ``GROUPED`` with transformers.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED: Final = "grouped"


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor | tuple[Tensor, ...],
    value: Tensor | tuple[Tensor, ...],
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """(B, heads, N, d), twice (B, groups, M, d), mask (B, 1, N, M) -> (B, N, heads, d).

    Keys and values may also be B tensors (1, groups, any M, d) of caches ``SideBySide``: then each
    row sees all of its own. Inference alone: what else transformers hands over, dropout above all,
    is not for grouped heads.
    """
    if isinstance(key, tuple):
        triples = zip(query.split(1), key, value, strict=True)
        each = [_attend(module, *triple, None, scaling=scaling, **others)[0] for triple in triples]
        return torch.cat(each), None
    assert isinstance(value, Tensor)
    heads, rows = query.shape[1:3]
    groups = key.shape[1]
    if attention_mask is None or heads == groups:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return plain
    together = query.reshape(query.shape[0], groups, -1, query.shape[-1])
    mask = attention_mask.repeat(1, 1, heads // groups, 1)
    out = F.scaled_dot_product_attention(together, key, value, attn_mask=mask, scale=scaling)
    return out.reshape(out.shape[0], heads, rows, -1).transpose(1, 2), None


def _mask(*, dtype: torch.dtype = torch.float32, **sizes: Any) -> Tensor | None:
    """What is added to scores, 0 or the least number of ``dtype``; None where nothing is hidden."""
    seen = sdpa_mask(**sizes)
    if seen is None:
        return None
    return torch.where(seen, torch.zeros((), dtype=dtype), torch.finfo(dtype).min)


AttentionInterface.register(GROUPED, _attend)
AttentionMaskInterface.register(GROUPED, _mask)
