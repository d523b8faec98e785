"""How far people agree: Cohen's kappa and Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["nominal", "ordinal"]


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    categories: Sequence[Hashable],
    *,
    weighted: bool = False,
) -> float | None:
    """Cohen's kappa of two raters, at most 1; 0 is what chance gives.

    Args:
        first: ratings of one rater.
        second: those of the other, of the same items in the same order.
        categories: all possible ratings; in their order where ``weighted``.
        weighted: disagreements count by their squared distance (Cohen 1968).

    Returns:
        None without items, or where both raters gave one and the same rating throughout.
    """
    places = {category: place for place, category in enumerate(categories)}
    count = len(categories)
    table = np.zeros((count, count))
    for one, two in zip(first, second, strict=True):
        table[places[one], places[two]] += 1
    if not table.any():
        return None
    share = table / table.sum()
    chance = np.outer(share.sum(1), share.sum(0))
    cost = _costs(count) if weighted else 1 - np.eye(count)
    expected = float((cost * chance).sum())
    return None if expected == 0 else 1 - float((cost * share).sum()) / expected


def mean_kappa(
    ratings: Mapping[str, Mapping[str, Hashable]],
    categories: Sequence[Hashable],
    *,
    weighted: bool = False,
) -> float | None:
    """Mean of Cohen's kappa over all pairs of raters (Light 1971); None without a pair.

    Args:
        ratings: rater -> item -> rating; a pair is compared on the items that both rated.
        categories: as for :func:`cohen_kappa`.
        weighted: as for :func:`cohen_kappa`.
    """
    found = []
    for one, two in combinations(sorted(ratings), 2):
        shared = sorted(ratings[one].keys() & ratings[two].keys())
        kappa = cohen_kappa(
            [ratings[one][item] for item in shared],
            [ratings[two][item] for item in shared],
            categories,
            weighted=weighted,
        )
        if kappa is not None:
            found.append(kappa)
    return sum(found) / len(found) if found else None


def krippendorff_alpha(
    ratings: Mapping[str, Mapping[str, Hashable]], categories: Sequence[Hashable], level: Level
) -> float | None:
    """Krippendorff's alpha (2004) of any number of raters, with gaps, at most 1.

    Args:
        ratings: rater -> item -> rating.
        categories: all possible ratings, in their order for "ordinal".
        level: how ratings differ: at all, or by how many ratings lie between.

    Returns:
        None where no item was rated twice, or all ratings are the same.
    """
    places = {category: place for place, category in enumerate(categories)}
    count = len(categories)
    coincidences = np.zeros((count, count))
    items = sorted({item for own in ratings.values() for item in own})
    for item in items:
        given = [places[own[item]] for own in ratings.values() if item in own]
        if len(given) < 2:
            continue
        votes = np.bincount(given, minlength=count).astype(float)
        coincidences += (np.outer(votes, votes) - np.diag(votes)) / (len(given) - 1)
    totals = coincidences.sum(1)
    n = totals.sum()
    if n < 2:
        return None
    distance = _distances(totals, level)
    expected = float((np.outer(totals, totals) * distance).sum()) / (n - 1)
    observed = float((coincidences * distance).sum())
    return None if expected == 0 else 1 - observed / expected


def _costs(count: int) -> NDArray[np.float64]:
    steps = np.arange(count, dtype=np.float64)
    return np.asarray((steps[:, None] - steps[None]) ** 2)


def _distances(totals: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    count = totals.size
    if level == "nominal":
        return np.asarray(1 - np.eye(count))
    found = np.zeros((count, count))
    for low in range(count):
        for high in range(low + 1, count):
            between = totals[low : high + 1].sum() - (totals[low] + totals[high]) / 2
            found[low, high] = found[high, low] = between**2
    return found
