from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mediround.training.losses import dice_loss, focal_loss, mask_iou, scene_loss


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits and bool targets (N, H, W)."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    logits = torch.randn(shape, generator=generator) * draw(st.sampled_from([0.1, 1.0, 9.0]))
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    return logits, torch.rand(shape, generator=generator) < share


def pixels(logits: Tensor, targets: Tensor) -> list[list[tuple[float, bool]]]:
    return [
        list(zip(row.flatten().tolist(), truth.flatten().tolist(), strict=True))
        for row, truth in zip(logits, targets, strict=True)
    ]


def chance(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@settings(deadline=None)
@given(pairs())
def test_dice_loss_is_its_definition(pair: tuple[Tensor, Tensor]) -> None:
    expected = []
    for mask in pixels(*pair):
        overlap = sum(chance(logit) * truth for logit, truth in mask)
        total = sum(chance(logit) + truth for logit, truth in mask)
        expected.append(1 - (2 * overlap + 1) / (total + 1))
    assert dice_loss(*pair).tolist() == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(pairs(), st.sampled_from([0.0, 1.0, 2.0]))
def test_focal_loss_is_its_definition(pair: tuple[Tensor, Tensor], gamma: float) -> None:
    expected = []
    for mask in pixels(*pair):
        rights = [chance(logit if truth else -logit) for logit, truth in mask]
        expected.append(sum(-((1 - p) ** gamma) * math.log(p) for p in rights) / len(rights))
    assert focal_loss(*pair, gamma).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(deadline=None)
@given(pairs())
def test_iou_is_its_definition(pair: tuple[Tensor, Tensor]) -> None:
    expected = []
    for mask in pixels(*pair):
        union = sum(logit > 0 or truth for logit, truth in mask)
        both = sum(logit > 0 and truth for logit, truth in mask)
        expected.append(both / union if union else 1.0)
    assert mask_iou(*pair).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [dice_loss, focal_loss])
def test_sure_masks_cost_nothing_and_wrong_ones_much(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    truth = torch.eye(20, dtype=torch.bool)[None]
    sure = torch.where(truth, 60.0, -60.0)
    assert loss(sure, truth).item() == pytest.approx(0, abs=1e-5)
    assert loss(-sure, truth).item() > 0.9
    half = sure.to(torch.bfloat16).requires_grad_()
    loss(half, truth).sum().backward()  # type: ignore[no-untyped-call]
    assert half.grad is not None
    assert half.grad.isfinite().all()


def test_a_scene_that_is_seen_costs_nothing() -> None:
    labels = torch.zeros(8, 8, dtype=torch.long)
    labels[:4, 4:] = 2
    seen = F.one_hot(labels, 4).permute(2, 0, 1).float()
    right = float(scene_loss(30 * seen, labels))
    assert right == pytest.approx(0, abs=0.05)
    mixed = seen[[2, 1, 0, 3]]  # nothing where something is, and the other way round
    assert float(scene_loss(30 * mixed, labels)) > 10
    assert right < float(scene_loss(torch.zeros(4, 8, 8), labels)) < 3


def test_what_is_not_labelled_at_all_is_learned_as_nothing() -> None:
    labels = torch.zeros(8, 8, dtype=torch.long)
    logits = torch.zeros(4, 8, 8, requires_grad=True)
    scene_loss(logits, labels).backward()  # type: ignore[no-untyped-call]  # torch's
    assert logits.grad is not None
    assert (logits.grad[0] < 0).all()
    assert (logits.grad[1:] > 0).all()
