from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.sam.modeling_sam import SamPositionalEmbedding

from mediround.geometry import mask_to_box
from mediround.model.landmarks import landmarks
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.model.position import PositionCode, fourier_grid

SIDE = 16


def features() -> Tensor:
    return torch.randn(16, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    x, y = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    width, height = draw(st.integers(1, SIDE - x)), draw(st.integers(1, SIDE - y))
    mask = torch.zeros(SIDE, SIDE)
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    mask[y : y + height, x : x + width] = torch.rand(height, width, generator=seed)
    return mask


def test_a_point_means_what_it_means_to_sam() -> None:
    config = SimpleNamespace(num_pos_feats=8, scale=1.0)
    theirs = SamPositionalEmbedding(config)  # type: ignore[no-untyped-call]
    ours = PositionCode(16)
    ours.positional_encoding_gaussian_matrix.copy_(theirs.positional_embedding.detach())
    points = torch.rand(2, 3, 5, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(points), theirs(points).detach(), atol=1e-5, rtol=1e-5)


def test_a_grid_is_kept_until_its_frequencies_change() -> None:
    code = PositionCode(8)
    with torch.inference_mode():
        first = code.grid(4)
    assert code.grid(4) is first
    weight = torch.ones(8, 4, 4, requires_grad=True)
    torch.autograd.grad((first * weight).sum(), weight)  # what was kept in passing can be used
    other = torch.randn(2, 4)
    code.load_state_dict({"positional_encoding_gaussian_matrix": other})
    assert torch.equal(code.grid(4), fourier_grid(4, other))
    assert not torch.equal(code.grid(4), first)


def test_the_grid_is_the_code_of_its_cells_centres() -> None:
    code = PositionCode(8)
    grid = code.grid(5)
    assert grid.shape == (8, 5, 5)
    for row in range(5):
        for column in range(5):
            centre = torch.tensor([(column + 0.5) / 5, (row + 0.5) / 5])
            torch.testing.assert_close(grid[:, row, column], code(centre))


@given(masks())
def test_landmarks_are_box_and_centre(mask: Tensor) -> None:
    corner, opposite, centre = (landmarks(mask[None])[0] * SIDE).tolist()
    lit = mask.numpy() > 0.25
    box = mask_to_box(lit)
    if box is None:
        assert corner == opposite == centre == [SIDE / 2, SIDE / 2]
        return
    assert (*corner, *opposite) == pytest.approx(box.corners)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    weight = mask.numpy() / mask.numpy().sum()
    assert centre == pytest.approx([(columns * weight).sum(), (rows * weight).sum()], abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(masks(), min_size=1, max_size=4))
@torch.inference_mode()
def test_masks_are_read_one_by_one(tiny: MediRound, drawn: list[Tensor]) -> None:
    position, reference = tiny.segmenter.position, tiny.perception.reference
    together = reference(features(), torch.stack(drawn), position)
    assert together.shape == (len(drawn), 4, tiny.language.width)
    assert together.isfinite().all()
    for tokens, mask in zip(together, drawn, strict=True):
        alone = reference(features(), mask[None], position)[0]
        torch.testing.assert_close(tokens, alone, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_an_empty_mask_has_tokens_and_they_do_not_depend_on_the_image(tiny: MediRound) -> None:
    empty = torch.zeros(1, SIDE, SIDE)
    position, reference = tiny.segmenter.position, tiny.perception.reference
    one, other = (reference(f, empty, position) for f in (features(), features() + 1))
    assert one.isfinite().all()
    torch.testing.assert_close(one, other)


@torch.inference_mode()
def test_only_features_inside_the_mask_are_read(tiny: MediRound) -> None:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, 4:9, 5:12] = 1
    position, reference = tiny.segmenter.position, tiny.perception.reference
    before = reference(features(), mask, position)
    outside = features() + (1 - mask) * 5
    torch.testing.assert_close(reference(outside, mask, position), before, atol=1e-5, rtol=1e-5)
    inside = features() + mask * torch.arange(16.0)[:, None, None]
    assert (reference(inside, mask, position) - before).abs().max() > 1e-4


@torch.inference_mode()
def test_the_quarters_part_the_mask(tiny: MediRound) -> None:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, 4:10, 6:16] = 1
    assert isinstance(tiny.perception, Perception)
    quarters = tiny.perception.reference._quarters(mask)
    torch.testing.assert_close(quarters.sum(1), mask)
    assert quarters.sum((2, 3)).tolist() == [[15.0] * 4]


@torch.inference_mode()
def test_image_tokens_come_row_by_row(tiny: MediRound) -> None:
    position, image = tiny.segmenter.position, tiny.perception.image
    before = image(features()[None], position)
    assert before.shape == (1, 16, tiny.language.width)
    changed = features()
    changed[:, 4:8, 8:12] += torch.arange(16.0)[:, None, None]
    difference = (image(changed[None], position) - before)[0].abs().amax(-1)
    assert (difference > 1e-4).nonzero()[:, 0].tolist() == [1 * 4 + 2]
