"""Agreement of masks against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mediround.evaluation.metrics import Overlap, Scores
from mediround.geometry import BoolMask

PAIRS = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def counted(predicted: BoolMask, truth: BoolMask) -> tuple[int, int, int, int]:
    """Intersection, union and both areas, pixel by pixel."""
    pixels = list(zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True))
    return (
        sum(a and b for a, b in pixels),
        sum(a or b for a, b in pixels),
        sum(a for a, _ in pixels),
        sum(b for _, b in pixels),
    )


@given(PAIRS)
def test_one_mask_agrees_with_counting(pair: tuple[BoolMask, BoolMask]) -> None:
    overlap = Overlap.of(*pair)
    both, either, first, second = counted(*pair)
    assert (overlap.intersection, overlap.union) == (both, either)
    assert overlap.iou == pytest.approx(both / either if either else 1)
    assert overlap.dice == pytest.approx(2 * both / (first + second) if first + second else 1)
    assert Overlap.of(*reversed(pair)) == overlap


@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_many_masks_agree_with_counting(pairs: list[tuple[BoolMask, BoolMask]]) -> None:
    scores = Scores.over(Overlap.of(*pair) for pair in pairs)
    counts = [counted(*pair) for pair in pairs]
    total = sum(either for _, either, _, _ in counts)
    shared = sum(both for both, _, _, _ in counts)
    assert scores.n == len(pairs)
    assert scores.giou == pytest.approx(np.mean([b / e if e else 1 for b, e, _, _ in counts]))
    assert scores.dice == pytest.approx(
        np.mean([2 * b / (p + t) if p + t else 1 for b, _, p, t in counts])
    )
    assert scores.ciou == pytest.approx(shared / total if total else 1)


def test_no_masks_have_no_scores() -> None:
    assert Scores.over([]) == Scores(0, None, None, None)


def test_a_large_mask_weighs_more_in_the_cumulative_iou_alone() -> None:
    scores = Scores.over([Overlap(0, 10), Overlap(90, 90)])
    assert (scores.giou, scores.ciou) == (0.5, 0.9)


def test_masks_of_two_images_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        Overlap.of(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
