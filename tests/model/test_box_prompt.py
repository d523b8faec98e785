from __future__ import annotations

import copy

import pytest
import torch
from tests.boxes import boxy

from mediround.errors import InputError
from mediround.model.box_prompt import BoxPrompt, takes_boxes
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.presets import mediround_7b, nano, tiny

BOXES = torch.tensor([[[0.1, 0.2], [0.5, 0.6]], [[0.3, 0.3], [0.9, 0.8]], [[0, 0], [1, 1]]])


@pytest.fixture(scope="module")
def network() -> MediRound:
    with boxy() as made:
        return made


@pytest.fixture(scope="module")
def prompt(network: MediRound) -> BoxPrompt:
    with boxy() as made:
        return BoxPrompt.beside(made)


@pytest.fixture(scope="module")
def trunk(network: MediRound) -> torch.Tensor:
    pixels = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    return network.see(pixels).trunk


def test_many_boxes_at_once_are_one_by_one(prompt: BoxPrompt, trunk: torch.Tensor) -> None:
    together = prompt(trunk, BOXES)
    assert together.logits.shape == (3, 64, 64)
    assert together.iou.shape == (3,)
    for place, box in enumerate(BOXES):
        alone = prompt(trunk, box[None])
        torch.testing.assert_close(together.logits[place], alone.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.iou[place], alone.iou[0], atol=1e-4, rtol=1e-4)


def test_both_corners_count_and_are_not_alike(prompt: BoxPrompt, trunk: torch.Tensor) -> None:
    first = prompt(trunk, BOXES[:1]).logits
    for other in (BOXES[:1].flip(1), BOXES[:1] + torch.tensor([[0.0, 0], [0.1, 0]])):
        assert not torch.allclose(prompt(trunk, other).logits, first, atol=1e-3)


def test_it_computes_in_the_model_s_type(prompt: BoxPrompt, trunk: torch.Tensor) -> None:
    with boxy() as network:
        network.segmenter.lower(torch.bfloat16)
        lowered = BoxPrompt.beside(network)
    rough = lowered(trunk.to(torch.bfloat16), BOXES).logits
    assert rough.dtype == torch.bfloat16
    exact = prompt(trunk, BOXES).logits
    assert ((rough.float() - exact).abs().mean() / exact.std()) < 0.05


def test_only_lite_medsam_takes_boxes() -> None:
    assert [takes_boxes(make()) for make in (nano, tiny, mediround_7b)] == [True, False, False]
    with pytest.raises(InputError, match=r"another image encoder; expected LiteMedSAM.*rectangle"):
        BoxPrompt.beside(compose(tiny()))


def test_a_trunk_that_was_trained_further_is_refused() -> None:
    with boxy() as network:
        trained = copy.deepcopy(network)
        first = next(iter(trained.segmenter.vision.parameters()))  # type: ignore[union-attr]
        first.add_(1e-3)
        with pytest.raises(InputError, match="trained its image encoder further"):
            BoxPrompt.beside(trained)
        neck = network.segmenter.vision.neck  # type: ignore[union-attr]
        for parameter in neck.parameters():  # type: ignore[union-attr]
            parameter.add_(1e-3)
        BoxPrompt.beside(network)
