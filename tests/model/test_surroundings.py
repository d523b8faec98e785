"""What lies around a mask is read outside it, and from where the mask lies."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mediround.model.landmarks import landmarks
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.model.surroundings import Surroundings, _bearings

SIDE = 16


def features() -> Tensor:
    return torch.randn(16, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def block(top: int, left: int, size: int = 4) -> Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, top : top + size, left : left + size] = 1
    return mask


def part(model: MediRound) -> Surroundings:
    assert isinstance(model.perception, Perception)
    assert model.perception.surroundings is not None
    return model.perception.surroundings


@torch.inference_mode()
def test_they_follow_the_masks_own_tokens(tiny: MediRound) -> None:
    perception, position = tiny.perception, tiny.segmenter.position
    assert isinstance(perception, Perception)
    mask = torch.cat([block(2, 3), block(8, 9)])
    tokens = perception.read(features(), mask, position)
    assert tokens.shape == (2, perception.reference_tokens, tiny.language.width)
    torch.testing.assert_close(tokens[:, :4], perception.reference(features(), mask, position))
    torch.testing.assert_close(tokens[:, 4:], part(tiny)(features(), mask, position))


@torch.inference_mode()
def test_what_lies_outside_changes_them_and_the_size_stays(tiny: MediRound) -> None:
    mask, position = block(6, 6), tiny.segmenter.position
    before = part(tiny)(features(), mask, position)
    outside = features() + (1 - mask) * torch.arange(16.0)[:, None, None]
    after = part(tiny)(outside, mask, position)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert (after[:, 1:] - before[:, 1:]).abs().amin(-1).max() < (after - before).abs().max()
    assert (after[:, 1:] - before[:, 1:]).abs().amax(-1).min() > 1e-4


@torch.inference_mode()
def test_the_size_token_moves_one_way_with_the_size(tiny: MediRound) -> None:
    position = tiny.segmenter.position
    sizes = torch.cat([block(1, 1, size) for size in (2, 4, 8, 12)])
    tokens = part(tiny)(features(), sizes, position)[:, 0]
    steps = tokens.diff(dim=0)
    axis = tokens[-1] - tokens[0]
    assert (steps @ axis > 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12))
def test_bearings_point_from_the_mask_to_the_cell(top: int, left: int) -> None:
    mask = block(top, left)
    found = _bearings(mask.flatten(1), landmarks(mask), SIDE)[0].unflatten(0, (SIDE, SIDE))
    inside = mask[0] > 0
    assert (found[inside][:, 3:] == 0).all()
    assert (found[~inside][:, 5] > 0).all()
    torch.testing.assert_close(found[..., 5], found[..., 3:5].norm(dim=-1))
    assert (found[:, left + 4 :, 1] > 0).all()
    assert (found[:, :left, 1] < 0).all()
    assert (found[top + 4 :, :, 2] > 0).all()
    assert (found[:top, :, 4] < 0).all()
