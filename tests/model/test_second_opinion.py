"""Bad masks are averaged with what the published decoder sees where they lie."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.boxes import Filler, boxy

from mediround.config import CorrectionConfig
from mediround.errors import ConfigError
from mediround.geometry import mask_to_box
from mediround.model.box_prompt import BoxPrompt
from mediround.model.second_opinion import SecondOpinion, boxes

SIDE = 32
TRUNK = torch.zeros(1, 4, 8, 8)


def rectangle(y0: int, y1: int, x0: int, x1: int) -> torch.Tensor:
    logits = torch.full((SIDE, SIDE), -1.0)
    logits[y0:y1, x0:x1] = 1.0
    return logits


@given(
    st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)),
    st.tuples(st.integers(1, SIDE), st.integers(1, SIDE)),
)
def test_boxes_lie_round_masks(corner: tuple[int, int], extent: tuple[int, int]) -> None:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[corner[0] : corner[0] + extent[0], corner[1] : corner[1] + extent[1]] = True
    tight = mask_to_box(mask.numpy())
    assert tight is not None
    margin = 0.08 * max(tight.width, tight.height)
    wanted = np.array(tight.corners).reshape(2, 2) + np.array([[-margin], [margin]])
    found = boxes(mask[None])[0] * SIDE
    np.testing.assert_allclose(found, wanted.clip(0, SIDE), atol=1e-4)


def test_both_have_their_share() -> None:
    second = SecondOpinion(Filler(SIDE), 0.25)  # type: ignore[arg-type]  # finds what a box covers
    first = rectangle(8, 11, 8, 11)
    first[8, 8] = -1.0  # a corner is missing
    better = second(TRUNK, first[None])[0]
    assert better[9, 9] == 1.0
    assert better[8, 8] == -0.5
    assert better[0, 0] == -1.0


def test_empty_and_large_masks_stay_as_they_are() -> None:
    filler = Filler(SIDE)
    second = SecondOpinion(filler, 0.5)  # type: ignore[arg-type]  # finds what a box covers
    empty, large, small = (rectangle(0, side, 0, side) for side in (0, 4, 3))
    large[0, 0] = small[0, 0] = -1.0
    masks = torch.stack([empty, large, small])
    assert second.concerns(masks).tolist() == [False, False, True]
    better = second(TRUNK, masks)
    assert torch.equal(better[:2], torch.stack([empty, large]))
    assert better[2, 0, 0] == 0
    assert len(filler.asked) == 1
    assert torch.equal(second(TRUNK, large[None]), large[None])
    assert len(filler.asked) == 1


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_bad_masks_alone_are_corrected(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediround.model.second_opinion._SMALL", 1.0)
    torch.manual_seed(0)
    with boxy() as network:
        settings = CorrectionConfig(second_opinion=True, keep="corrected", threshold=threshold)
        network.config = dataclasses.replace(network.config, correction=settings)
        network.second = SecondOpinion(BoxPrompt.beside(network), 1.0)
        pixels = torch.rand(3, 64, 64)
        image, states = network.see(pixels), torch.randn(3, network.language.width)
        drawn = network.draw(image, states)
        network.correcting = False
        plain = network.draw(image, states)
    assert not plain.corrected.any()
    assert torch.equal(drawn.scores, plain.scores)
    changed = (drawn.logits != plain.logits).flatten(1).any(1)
    assert changed.any() == (threshold == 1.0)
    assert torch.equal(drawn.corrected, changed)


def test_a_second_opinion_needs_a_judge_that_looks_at_masks() -> None:
    with pytest.raises(ConfigError, match="judge that looks at masks"):
        CorrectionConfig(second_opinion=True, judge="paper")
    with pytest.raises(ConfigError, match="no corrector"):
        CorrectionConfig(second_opinion=True, corrector=True)
    with pytest.raises(ConfigError, match=r"share is 1\.5; expected 0 to 1"):
        CorrectionConfig(share=1.5)
