"""Intervals, ranks and calibration, free of any knowledge of masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Interval = tuple[float, float]

RESAMPLES = 2000


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval | None:
    """Wilson's score interval of a proportion (Wilson 1927), 0..1; None without trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Exactly 0 and 1 at the ends, where rounding would leave a trace.
    low = (middle - spread) / scale if successes else 0.0
    high = (middle + spread) / scale if successes < trials else 1.0
    return low, high


def proportion(right: int, n: int) -> dict[str, Any]:
    """How many of how many, their share, and Wilson's 95 % interval; None without trials."""
    return {"n": n, "right": right, "share": right / n if n else None, "ci95": wilson(right, n)}


def bootstrap_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    strata: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Interval | None:
    """Percentile interval of sum(numerators) / sum(denominators), clusters resampled whole.

    A mean is the ratio with denominators 1, cIoU that of intersections and unions.

    Args:
        numerators: (n,) numbers.
        denominators: (n,) positive numbers.
        clusters: (n,) what belongs together, such as the patient.
        rng: equal generators give equal intervals.
        strata: (n,) groups whose number of clusters is fixed by design, such as the data set;
            clusters are drawn within them.
        resamples: how many.
        confidence: share of the resamples inside.

    Returns:
        None where no stratum has two clusters: nothing can be said about others then.
    """
    tops, bottoms = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    groups = strata if strata is not None else [None] * len(clusters)
    members: dict[Hashable, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (group, cluster) in enumerate(zip(groups, clusters, strict=True)):
        members[group][cluster].append(place)
    if not any(len(own) > 1 for own in members.values()):
        return None
    top, bottom = np.zeros(resamples), np.zeros(resamples)
    for own in members.values():
        places = list(own.values())
        count = len(places)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
        top += drawn @ np.array([tops[each].sum() for each in places])
        bottom += drawn @ np.array([bottoms[each].sum() for each in places])
    tail = 50 * (1 - confidence)
    low, high = np.percentile(top / bottom, [tail, 100 - tail])
    return float(low), float(high)


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Rank correlation, -1..1, ties at their mean rank; None where one side never varies."""
    ranks = [rankdata(np.asarray(side, np.float64)) for side in (x, y)]
    if len(ranks[0]) != len(ranks[1]):
        raise ValueError(f"{len(ranks[0])} and {len(ranks[1])} numbers cannot be paired")
    if any(len(side) < 2 or np.ptp(side) == 0 for side in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions from ``low`` to ``high``: how many, their mean, and the mean of the truth."""

    low: float
    high: float
    n: int
    predicted: float
    true: float


def reliability(predicted: ArrayLike, true: ArrayLike, *, bins: int = 10) -> list[Bin]:
    """Predictions in 0..1 sorted into bins of equal width, empty ones left out."""
    guess, truth = _pair(predicted, true)
    place = np.minimum((guess * bins).astype(int), bins - 1)
    found = []
    for index in range(bins):
        chosen = place == index
        if chosen.any():
            means = float(guess[chosen].mean()), float(truth[chosen].mean())
            found.append(Bin(index / bins, (index + 1) / bins, int(chosen.sum()), *means))
    return found


def calibration_error(predicted: ArrayLike, true: ArrayLike, *, bins: int = 10) -> float | None:
    """Expected calibration error, 0..1: mean distance of a bin's prediction from its truth."""
    found = reliability(predicted, true, bins=bins)
    total = sum(each.n for each in found)
    if total == 0:
        return None
    return sum(each.n * abs(each.predicted - each.true) for each in found) / total


def _pair(predicted: ArrayLike, true: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    guess, truth = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if guess.shape != truth.shape:
        raise ValueError(f"{guess.size} predictions and {truth.size} truths cannot be paired")
    if guess.size and not (guess.min() >= 0 and guess.max() <= 1):
        raise ValueError(f"predictions run from {guess.min()} to {guess.max()}; expected 0..1")
    return guess, truth
