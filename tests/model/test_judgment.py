from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.model.judgment import STATISTICS, Judge, statistics
from mediround.model.mask_decoder import Decoded
from mediround.presets import tiny


@settings(deadline=None)
@given(st.integers(0, 999), st.floats(0, 200), st.floats(-100, 100))
def test_statistics_are_finite_whatever_is_drawn(seed: int, spread: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    found = statistics(torch.randn(3, 8, 9, generator=generator) * spread + shift)
    assert found.shape == (3, STATISTICS)
    assert found.isfinite().all()


def test_statistics_of_a_sure_square_and_of_nothing() -> None:
    logits = torch.full((2, 10, 10), -50.0)
    logits[0, 2:6, 3:7] = 50
    square, nothing = statistics(logits).tolist()
    inside, agreement, firm, size, edges, top, vague, empty = square
    assert (inside, agreement, firm) == pytest.approx((1, 1, 1))
    assert size == pytest.approx(torch.tensor(16.0).log().item() / 10)
    assert edges == pytest.approx(16 / 4 / 10)
    assert (top, vague, empty) == (1, 0, 0)
    assert nothing[0] == 0
    assert nothing[-1] == 1


@torch.inference_mode()
def test_scores_are_shares_and_each_mask_is_judged_by_itself() -> None:
    config = tiny().decoder
    generator = torch.Generator().manual_seed(1)
    shapes = (2, 3, 16, 16), (2, 3, config.width), (2, 3)
    logits, tokens, iou = (torch.randn(shape, generator=generator) for shape in shapes)
    judge = Judge(config)
    scores = judge(Decoded(logits * 5, tokens, iou))
    assert scores.shape == (2, 3)
    assert ((scores > 0) & (scores < 1)).all()
    turned = judge(Decoded(logits.flip(1) * 5, tokens.flip(1), iou.flip(1)))
    torch.testing.assert_close(turned, scores.flip(1))
    other = judge(Decoded(logits * 5, tokens, iou + 1))
    assert (other - scores).abs().max() > 1e-5
