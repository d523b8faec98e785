"""Agreement of raters against numbers from the literature."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from mediround.evaluation.agreement import cohen_kappa, krippendorff_alpha, mean_kappa

#: The example of Krippendorff (2011), four observers, twelve units, None for a gap.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def example() -> dict[str, dict[str, Hashable]]:
    return {
        f"r{number}": {f"u{place}": own for place, own in enumerate(row) if own is not None}
        for number, row in enumerate(OBSERVERS)
    }


def test_krippendorffs_own_example() -> None:
    categories = (1, 2, 3, 4, 5)
    assert krippendorff_alpha(example(), categories, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(example(), categories, "ordinal") == pytest.approx(0.815, abs=5e-4)


def test_kappa_by_hand() -> None:
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second, ("yes", "no")) == pytest.approx(0.4)


def test_near_misses_count_less_when_weighted() -> None:
    first, second = [1, 2, 3, 4, 5], [2, 2, 3, 4, 4]
    plain = cohen_kappa(first, second, (1, 2, 3, 4, 5))
    weighted = cohen_kappa(first, second, (1, 2, 3, 4, 5), weighted=True)
    assert plain is not None
    assert weighted is not None
    assert weighted > plain


def test_one_rater_or_one_rating_says_nothing() -> None:
    assert mean_kappa({"a": {"1": 1}}, (1, 2)) is None
    assert krippendorff_alpha({"a": {"1": 1}}, (1, 2), "nominal") is None
    assert cohen_kappa([1, 1], [1, 1], (1, 2)) is None
    assert krippendorff_alpha({"a": {"1": 1}, "b": {"1": 1}}, (1, 2), "ordinal") is None


def test_perfect_agreement_is_one() -> None:
    same = {"a": {"1": 1, "2": 2}, "b": {"1": 1, "2": 2}}
    assert mean_kappa(same, (1, 2)) == pytest.approx(1)
    assert krippendorff_alpha(same, (1, 2), "nominal") == pytest.approx(1)
