"""What lies around a mask is read outside it, and from where the mask lies."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mediround.config import PerceptionConfig
from mediround.dialogue import Round
from mediround.model.landmarks import landmarks
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.model.surroundings import Surroundings, _bearings
from mediround.presets import tiny as tiny_config

SIDE = 16


def features() -> Tensor:
    return torch.randn(16, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def block(top: int, left: int, size: int = 4) -> Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, top : top + size, left : left + size] = 1
    return mask


@pytest.fixture(scope="module")
def model() -> MediRound:
    """The tiny model, with two kinds of neighbours."""
    config = tiny_config()
    assert isinstance(config.perception, PerceptionConfig)
    wider = dataclasses.replace(
        config.perception,
        neighbours=("left_of", "nearest_to"),
        neighbour_grid=8,
        neighbour_width=16,
    )
    return compose(dataclasses.replace(config, perception=wider)).eval()


def part(model: MediRound) -> Surroundings:
    assert isinstance(model.perception, Perception)
    assert model.perception.surroundings is not None
    return model.perception.surroundings


@torch.inference_mode()
def test_size_comes_first_and_what_lies_around_last(model: MediRound) -> None:
    perception, position = model.perception, model.segmenter.position
    assert isinstance(perception, Perception)
    mask = torch.cat([block(2, 3), block(8, 9)])
    tokens = perception.read(features(), mask, position)
    assert tokens.shape == (2, 1 + 4 + 2, model.language.width)
    torch.testing.assert_close(tokens[:, 0], part(model).sizes(mask))
    torch.testing.assert_close(tokens[:, 1:5], perception.reference(features(), mask, position))
    torch.testing.assert_close(tokens[:, 5:], part(model)(features(), mask, position))


@torch.inference_mode()
def test_what_lies_outside_changes_them(model: MediRound) -> None:
    mask, position = block(6, 6), model.segmenter.position
    before = part(model)(features(), mask, position)
    outside = features() + (1 - mask) * torch.arange(16.0)[:, None, None]
    after = part(model)(outside, mask, position)
    assert (after - before).abs().amax(-1).min() > 1e-4


@torch.inference_mode()
def test_the_size_token_moves_one_way_with_the_size(model: MediRound) -> None:
    tokens = part(model).sizes(torch.cat([block(1, 1, size) for size in (2, 4, 8, 12)]))
    steps = tokens.diff(dim=0)
    axis = tokens[-1] - tokens[0]
    assert (steps @ axis > 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12))
def test_bearings_point_from_the_mask_to_the_cell(top: int, left: int) -> None:
    mask = block(top, left)
    found = _bearings(mask.flatten(1), landmarks(mask), SIDE)[0].view(SIDE, SIDE, -1)
    inside = mask[0] > 0
    assert (found[inside][:, 3:] == 0).all()
    assert (found[~inside][:, 5] > 0).all()
    torch.testing.assert_close(found[..., 5], found[..., 3:5].norm(dim=-1))
    assert (found[:, left + 4 :, 1] > 0).all()
    assert (found[:, :left, 1] < 0).all()
    assert (found[top + 4 :, :, 2] > 0).all()
    assert (found[:top, :, 4] < 0).all()


@torch.inference_mode()
def test_a_mask_is_read_like_a_sentence(model: MediRound) -> None:
    done = Round(query="What is [1]?", text="The liver.")
    prompt = model.prompter.write([done])
    places = [slot for slot in prompt.slots if slot.key == 1]
    assert [(slot.first, slot.length) for slot in places] == [(0, 5), (5, 1), (6, 1)]
    words = [
        prompt.ids[before.start + before.length : after.start] for before, after in pairwise(places)
    ]
    assert [model.language.tokenizer.decode(each) for each in words] == [" left", " nearest"]
