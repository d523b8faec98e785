"""Intervals, ranks and calibration against scipy and against long-hand loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mediround.evaluation.statistics import (
    bootstrap_ratio,
    calibration_error,
    reliability,
    spearman,
    wilson,
)

UNIT = st.floats(0, 1)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    assert wilson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_without_trials_and_with_impossible_counts() -> None:
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="3 successes in 2"):
        wilson(3, 2)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = zip(*pairs, strict=True)
    own = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert own is None
    else:
        assert own == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_spearman_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        spearman([1, 2, 3], [1, 2])


@given(st.lists(st.tuples(UNIT, UNIT), max_size=40), st.integers(1, 12))
def test_calibration_error_is_that_of_a_loop(pairs: list[tuple[float, float]], bins: int) -> None:
    total = 0.0
    for index in range(bins):
        own = [(p, t) for p, t in pairs if index == min(int(p * bins), bins - 1)]
        total += abs(sum(p for p, _ in own) - sum(t for _, t in own))
    found = calibration_error([p for p, _ in pairs], [t for _, t in pairs], bins=bins)
    if pairs:
        assert found == pytest.approx(total / len(pairs), abs=1e-9)
    else:
        assert found is None


@given(st.lists(UNIT, min_size=1, max_size=40))
def test_every_prediction_is_in_one_bin_and_between_its_ends(guesses: list[float]) -> None:
    bins = reliability(guesses, guesses)
    assert sum(each.n for each in bins) == len(guesses)
    assert all(each.low - 1e-9 <= each.predicted <= each.high + 1e-9 for each in bins)


def test_predictions_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        reliability([1.2], [1.0])


def interval(
    tops: list[float], bottoms: list[float], clusters: list[int], **options: object
) -> tuple[float, float]:
    found = bootstrap_ratio(tops, bottoms, clusters, np.random.default_rng(5), **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_bootstrap_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 12, 60).tolist()
    tops = rng.random(60)
    bottoms = 0.5 + rng.random(60)
    drawn = []
    for _ in range(4000):
        places = [
            place
            for cluster in rng.choice(sorted(set(clusters)), len(set(clusters)))
            for place, own in enumerate(clusters)
            if own == cluster
        ]
        drawn.append(tops[places].sum() / bottoms[places].sum())
    expected = np.percentile(drawn, [2.5, 97.5])
    found = interval(tops.tolist(), bottoms.tolist(), clusters, resamples=4000)
    assert found == pytest.approx(tuple(expected), abs=0.15 * float(np.ptp(expected)))


def test_repeating_a_patients_masks_tells_nothing_new() -> None:
    values, patients = [0.1, 0.9, 0.4, 0.7], [1, 2, 3, 4]
    once = interval(values, [1] * 4, patients)
    assert interval(values * 5, [1] * 20, patients * 5) == pytest.approx(once)
    as_if_independent = interval(values * 5, [1] * 20, list(range(20)))
    assert np.ptp(as_if_independent) < 0.7 * np.ptp(once)


@given(st.lists(UNIT, min_size=2, max_size=12), st.integers(0, 9))
def test_the_interval_lies_within_the_values_and_repeats_itself(
    values: list[float], seed: int
) -> None:
    ones = [1] * len(values)
    found = [
        bootstrap_ratio(values, ones, range(len(values)), np.random.default_rng(seed))
        for _ in range(2)
    ]
    assert found[0] is not None
    assert found[0] == found[1]
    assert min(values) - 1e-9 <= found[0][0] <= found[0][1] <= max(values) + 1e-9


def test_one_patient_says_nothing_of_others() -> None:
    one = bootstrap_ratio([0.2, 0.4], [1, 1], ["a", "a"], np.random.default_rng(0))
    assert one is None
    assert bootstrap_ratio([], [], [], np.random.default_rng(0)) is None


def test_strata_keep_their_number_of_patients() -> None:
    values, strata = [0.0] * 10 + [1.0] * 10, ["easy"] * 10 + ["hard"] * 10
    assert interval(values, [1] * 20, list(range(20)), strata=strata) == (0.5, 0.5)
    low, high = interval(values, [1] * 20, list(range(20)))
    assert low < 0.4 < 0.6 < high
