"""Paired tests: known cases, exchange of the two sides, and what chance does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.evaluation.paired import compare, holm, permutation_p


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def test_few_units_are_counted_exactly() -> None:
    # Of 2 ** 3 signs only all plus and all minus are as far out as what was seen.
    assert permutation_p([1.0, 2.0, 4.0], generator()) == pytest.approx(2 / 8)
    assert permutation_p([1.0, -1.0], generator()) == 1.0
    assert permutation_p([3.0], generator()) is None


def test_many_units_never_give_a_p_of_zero() -> None:
    p = permutation_p(np.ones(40), generator())
    assert p is not None
    assert 0 < p < 0.001


def test_p_is_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(1)
    values = [permutation_p(rng.normal(size=10), rng) for _ in range(200)]
    below = np.mean([p is not None and p <= 0.05 for p in values])
    assert below <= 0.1


def test_a_patient_counts_once_however_many_masks_it_has() -> None:
    first = np.zeros(60)
    second = np.full(60, 0.1)
    patients = [number // 30 for number in range(60)]
    found = compare(first, second, patients, generator())
    assert (found.n, found.clusters) == (60, 2)
    assert found.difference == pytest.approx(0.1)
    assert found.p == 0.5  # two patients can never be significant
    assert found.effect is None  # no spread


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=30
    )
)
def test_exchanging_the_sides_turns_the_difference_round(
    rows: list[tuple[float, float, int]],
) -> None:
    one, two, patients = zip(*rows, strict=True)
    there, back = (compare(*sides, patients, generator()) for sides in ((one, two), (two, one)))
    assert there.difference == pytest.approx(-back.difference)
    assert there.p == back.p
    if there.ci95 is not None and back.ci95 is not None:
        assert there.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))
        assert there.ci95[0] <= there.ci95[1]


def test_sides_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        compare([1.0], [1.0, 2.0], ["a"], generator())


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == [
        pytest.approx(0.03),
        pytest.approx(0.06),
        None,
        pytest.approx(0.06),
    ]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(p: list[float]) -> None:
    adjusted = holm(list(p))
    pairs = sorted(zip(p, adjusted, strict=True))
    for value, own in pairs:
        assert own is not None
        assert value <= own <= 1
    known = [each for _, each in pairs if each is not None]
    assert known == sorted(known)
