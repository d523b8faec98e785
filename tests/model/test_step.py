"""One position behind each of several caches: the same as behind each alone."""

import pytest
import torch
from torch import Tensor

from mediround.config import LanguageConfig
from mediround.model.kv_cache import KeyValueCache
from mediround.model.language_model import LanguageModel
from mediround.model.loading import arrange
from mediround.presets import tiny

READ = (3, 1, 12, 7)
"""Positions that each cache holds."""


def language(dtype: torch.dtype) -> LanguageModel:
    """Laid out for answering."""
    torch.manual_seed(0)
    config = tiny().language
    assert isinstance(config, LanguageConfig)
    made = LanguageModel.build(config, dtype).eval().requires_grad_(False)
    made.merge_adapter()
    arrange(made, torch.device("cpu"))
    return made


def caches(made: LanguageModel) -> list[KeyValueCache]:
    """Each with other content; what is read is the same at every call."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for length in READ:
        found.append(KeyValueCache())
        read = torch.randn(1, length, made.width, generator=generator)
        made(read.to(made.inner.dtype), found[-1])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_steps_of_several_are_those_of_each(dtype: torch.dtype) -> None:
    made = language(dtype)
    steps = torch.randn(3, len(READ), made.width).to(dtype)
    alone: list[Tensor] = []
    for row, cache in enumerate(caches(made)):
        alone.append(torch.cat([made(each[row][None, None], cache)[0] for each in steps]))
    together = caches(made)
    found = torch.stack([made.step(each, together) for each in steps], dim=1)
    torch.testing.assert_close(found, torch.stack(alone))
    assert [each.tensors.get_seq_length() for each in together] == [n + 3 for n in READ]


@torch.inference_mode()
def test_each_goes_on_alone_after_a_step_together() -> None:
    made = language(torch.float32)
    step, last = torch.randn(2, len(READ), made.width)
    beside, apart = caches(made), caches(made)
    made.step(step, beside)
    for row, (one, other) in enumerate(zip(beside, apart, strict=True)):
        made(step[row][None, None], other)
        torch.testing.assert_close(
            made(last[row][None, None], one), made(last[row][None, None], other)
        )
