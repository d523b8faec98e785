"""Paired comparison of two ways to answer the same questions, with the patient as the unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mediround.evaluation.statistics import Interval, bootstrap_ratio

PERMUTATIONS = 10_000
EXACT_UP_TO = 12
"""With so many patients or fewer, every one of the 2 ** n exchanges is looked at."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The second way minus the first.

    Attributes:
        n: pairs of numbers.
        clusters: patients.
        first, second: means.
        difference: of the means.
        ci95: 95 % bootstrap interval over patients, None with fewer than two.
        p: two-sided, of the permutation test that exchanges the two ways patient by patient;
            None with fewer than two patients.
        effect: Cohen's d of the patients' mean differences: mean over standard deviation; None
            where they do not vary.
    """

    n: int
    clusters: int
    first: float
    second: float
    difference: float
    ci95: Interval | None
    p: float | None
    effect: float | None


def compare(
    first: ArrayLike,
    second: ArrayLike,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    strata: Sequence[Hashable] | None = None,
) -> Difference:
    """Compare paired numbers.

    Args:
        first: (n,) numbers, n at least 1.
        second: (n,) numbers of the same questions.
        clusters: (n,) what belongs together, such as the patient.
        rng: equal generators give equal results.
        strata: (n,) groups, such as the data set, within which patients are resampled.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape or one.shape != (len(clusters),) or not one.size:
        raise ValueError(f"{one.size} and {two.size} numbers of {len(clusters)} cannot be paired")
    change = two - one
    sums, counts = _by_cluster(change, clusters)
    return Difference(
        n=one.size,
        clusters=len(sums),
        first=float(one.mean()),
        second=float(two.mean()),
        difference=float(change.mean()),
        ci95=bootstrap_ratio(change, np.ones_like(change), clusters, rng, strata=strata),
        p=permutation_p(sums, rng),
        effect=_effect(sums / counts),
    )


def permutation_p(sums: ArrayLike, rng: np.random.Generator) -> float | None:
    """Two-sided p of no difference, from the summed differences of independent units.

    Under the null hypothesis each unit's sign is a coin. All signs are tried for up to
    ``EXACT_UP_TO`` units, else ``PERMUTATIONS`` random ones, the observed one counted among them,
    so that p is never 0 (Phipson and Smyth 2010). None with fewer than two units.
    """
    values = np.asarray(sums, np.float64)
    count = values.size
    if count < 2:
        return None
    observed = abs(values.sum()) - 1e-12 * (1 + np.abs(values).sum())  # rounding is no evidence
    if count <= EXACT_UP_TO:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
        return float((np.abs(signs @ values) >= observed).mean())
    signs = rng.choice((-1.0, 1.0), size=(PERMUTATIONS, count))
    extreme = int((np.abs(signs @ values) >= observed).sum())
    return (extreme + 1) / (PERMUTATIONS + 1)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979); None stays None and does not count."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    worst = 0.0
    for rank, (value, place) in enumerate(known):
        worst = max(worst, min(1.0, (len(known) - rank) * value))
        adjusted[place] = worst
    return adjusted


def _by_cluster(
    values: NDArray[np.float64], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    members: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        members[cluster].append(float(value))
    groups = list(members.values())
    return np.array([sum(own) for own in groups]), np.array([float(len(own)) for own in groups])


def _effect(means: NDArray[np.float64]) -> float | None:
    if means.size < 2:
        return None
    spread = float(means.std(ddof=1))
    return None if spread < 1e-12 else float(means.mean()) / spread
