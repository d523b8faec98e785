"""The parcellation tells structures at every pixel, and how sure it is of each mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mediround.config import ParcellationConfig
from mediround.model.parcellation import Parcellation, expected_overlap

NAMES = ("left thalamus", "right thalamus", "brainstem")


@pytest.fixture
def network() -> Parcellation:
    torch.manual_seed(0)
    return Parcellation(ParcellationConfig(entities=NAMES, widths=(4, 6, 8))).eval()


def test_odds_are_those_of_what_is_told(network: Parcellation) -> None:
    pixels = torch.rand(64, 64)
    chances = network(pixels[None]).softmax(1)[0, 1:]
    assert network(pixels[None]).shape == (1, len(NAMES) + 1, 64, 64)
    torch.testing.assert_close(network.odds(pixels), chances.logit(), atol=1e-4, rtol=1e-4)


def test_sides_are_told_apart_by_their_place(network: Parcellation) -> None:
    """Without it, a mirrored picture would give mirrored logits only."""
    half = torch.rand(64, 32)
    symmetric = torch.cat([half, half.flip(1)], dim=1)
    logits = network(symmetric[None])
    assert not torch.allclose(logits, logits.flip(3), atol=1e-4)


def test_a_picture_of_something_else_shows_no_head(
    network: Parcellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    odds = torch.full((len(NAMES), 64, 64), -5.0)
    monkeypatch.setattr(network, "odds", lambda _: odds)
    assert network.see(torch.rand(64, 64)) is None
    odds[2, :20, :20] = 3.0
    assert network.see(torch.rand(64, 64)) is odds


@given(st.floats(0.05, 12.0), st.integers(1, 60))
def test_the_expected_overlap_is_that_of_chances(sureness: float, rows: int) -> None:
    odds = torch.full((1, 64, 64), -12.0)
    odds[0, :rows] = sureness
    chance = torch.tensor(sureness).sigmoid()
    inside, outside = rows * 64, (64 - rows) * 64 * float(torch.tensor(-12.0).sigmoid())
    expected = float(chance) * inside / (inside + outside)
    assert float(expected_overlap(odds)) == pytest.approx(min(max(expected, 1e-3), 0.999), abs=1e-3)


def test_scores_follow_trust(network: Parcellation) -> None:
    odds = torch.tensor([1.0, 3.0])[:, None, None].expand(2, 8, 8)
    plain = network.scores(odds)
    torch.testing.assert_close(plain, expected_overlap(odds))
    network.trust.data = torch.tensor([0.5, -1.0])
    doubted = network.scores(odds)
    assert (doubted < plain).all()
    assert doubted[0] < doubted[1]
