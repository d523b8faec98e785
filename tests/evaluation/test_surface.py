"""Outlines: what agrees, what a miss costs, and that nothing is better than it."""

from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from mediround.evaluation.surface import Surface
from mediround.geometry import BoolMask

SHAPE = (12, 10)
MASKS = arrays.arrays(np.bool_, SHAPE)


def square(row: int, column: int, side: int = 8, size: int = 40) -> BoolMask:
    mask = np.zeros((size, size), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def test_equal_masks_agree() -> None:
    found = Surface.of(square(5, 5), square(5, 5))
    assert (found.nsd, found.distance, found.relative) == (1.0, 0.0, 0.0)


def test_a_shift_is_measured_in_the_unit_that_is_known() -> None:
    truth, moved = square(5, 5), square(5, 15)
    pixels = Surface.of(moved, truth)
    assert pixels.unit == "pixel"
    assert pixels.distance == pytest.approx(10, abs=0.5)
    millimetres = Surface.of(moved, truth, (1.0, 0.5))
    assert millimetres.unit == "mm"
    assert millimetres.distance == pytest.approx(5, abs=0.5)
    assert millimetres.relative == pytest.approx(millimetres.distance / hypot(40, 20))


def test_outlines_within_the_tolerance_agree() -> None:
    assert Surface.of(square(5, 5), square(6, 6)).nsd == 1.0
    assert Surface.of(square(5, 5), square(9, 9)).nsd < 0.6


@pytest.mark.parametrize("nothing", [None, np.zeros((40, 40), bool)])
def test_a_miss_costs_the_diagonal(nothing: BoolMask | None) -> None:
    found = Surface.of(nothing, square(5, 5), (2.0, 1.0))
    assert found.nsd == 0
    assert found.distance == pytest.approx(hypot(80, 40))
    assert found.relative == 1


@settings(max_examples=40, deadline=None)
@given(MASKS, MASKS)
def test_a_miss_never_improves_a_score(predicted: BoolMask, truth: BoolMask) -> None:
    truth[3, 3] = True
    found, miss = Surface.of(predicted, truth), Surface.of(None, truth)
    assert 0 <= miss.nsd <= found.nsd <= 1
    assert 0 <= found.relative <= miss.relative == 1
    assert np.isfinite(found.distance)


def test_an_empty_truth_has_no_outline() -> None:
    with pytest.raises(ValueError, match="empty"):
        Surface.of(square(1, 1), np.zeros((40, 40), bool))
    with pytest.raises(ValueError, match="shapes"):
        Surface.of(square(1, 1, size=30), square(1, 1))
