"""Ratings of readers -> who is preferred, how good each is, and how far the readers agree."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from mediround.errors import DatasetError
from mediround.evaluation.agreement import krippendorff_alpha, mean_kappa
from mediround.evaluation.paired import compare
from mediround.evaluation.selection import generator
from mediround.evaluation.statistics import bootstrap_ratio, proportion, spearman
from mediround.evaluation.study import Item
from mediround.evaluation.study_page import COLUMNS, PREFERENCE, QUALITY

Table = dict[str, Any]


@dataclass(frozen=True)
class Rating:
    """What one reader said about one case, as the page showed it."""

    rater: str
    item: str
    left_quality: str
    right_quality: str
    preference: str
    comment: str = ""


def read_ratings(paths: Sequence[Path], items: Sequence[Item]) -> list[Rating]:
    """Ratings from the CSV files that the page saved.

    Args:
        paths: one or more files; a file may hold several raters.
        items: the cases of the study.

    Raises:
        DatasetError: a file cannot be read, lacks a column, holds an unknown case or rating, or a
            rater rated a case twice.
    """
    known = {item.item for item in items}
    found: dict[tuple[str, str], Rating] = {}
    for path in paths:
        for line, row in enumerate(_rows(path), start=2):
            rating = Rating(*(row[name].strip() for name in COLUMNS))
            where = f"line {line} of {path.name}"
            _check(rating, known, where)
            key = rating.rater, rating.item
            if key in found:
                raise DatasetError(
                    f"{where}: {rating.rater} has rated case {rating.item} before",
                    expected="one rating of a case by a rater",
                )
            found[key] = rating
    if not found:
        raise DatasetError("there are no ratings", expected="a CSV file that the page saved")
    return list(found.values())


def score(items: Sequence[Item], reports: Sequence[str], ratings: Sequence[Rating]) -> Table:
    """Un-blind the ratings and count.

    Intervals are bootstrapped over patients, so that several raters and cases of one patient do
    not count as independent; the sign test takes the majority of the raters of each case.

    Returns:
        "quality" per report and their paired difference, "preference" (share preferring the
        second among decided ratings, ties apart, sign test), "agreement" (Krippendorff's alpha
        and the mean of Cohen's kappa over pairs of raters, quality weighted by squared distance),
        and "dice_agrees": rank correlation of the differences in Dice and in rated quality.
    """
    first, second = reports
    by_item = {item.item: item for item in items}
    patients = [(by_item[r.item].dataset, by_item[r.item].patient) for r in ratings]
    one = [_quality(rating, by_item[rating.item], first) for rating in ratings]
    two = [_quality(rating, by_item[rating.item], second) for rating in ratings]
    return {
        "reports": [first, second],
        "cases": len({rating.item for rating in ratings}),
        "raters": sorted({rating.rater for rating in ratings}),
        "ratings": len(ratings),
        "quality": {
            first: _mean(one, patients),
            second: _mean(two, patients),
            "difference": dataclasses.asdict(
                compare(one, two, patients, generator(0, "study quality"))
            ),
        },
        "preference": _preference(ratings, by_item, second, patients),
        "agreement": _agreement(ratings, by_item, first),
        "dice_agrees": _dice_agrees(ratings, by_item, first, second),
    }


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path.name} cannot be read ({type(error).__name__})") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing or any(row[name] is None for row in rows for name in COLUMNS):
        raise DatasetError(
            f"{path.name} lacks {', '.join(missing) or 'values'}",
            expected=f"the columns {', '.join(COLUMNS)}",
        )
    return rows


def _check(rating: Rating, known: set[str], where: str) -> None:
    if rating.item not in known:
        raise DatasetError(f"{where}: case {rating.item!r} is not in the key")
    for value, options in (
        (rating.left_quality, QUALITY),
        (rating.right_quality, QUALITY),
        (rating.preference, PREFERENCE),
    ):
        if value not in options:
            raise DatasetError(f"{where}: {value!r}", expected=f"one of {', '.join(options)}")
    if not rating.rater:
        raise DatasetError(f"{where}: no rater is named")


def _quality(rating: Rating, item: Item, report: str) -> int:
    return int(rating.left_quality if item.left == report else rating.right_quality)


def _preferred(rating: Rating, item: Item) -> str:
    """Name of the preferred report, "" for none."""
    sides = {"left": item.left, "right": item.right}
    return sides.get(rating.preference, "")


def _mean(values: Sequence[int], patients: Sequence[tuple[str, str]]) -> Table:
    interval = bootstrap_ratio(
        values, [1] * len(values), patients, generator(0, "study"), strata=[d for d, _ in patients]
    )
    return {"mean": sum(values) / len(values), "ci95": interval}


def _preference(
    ratings: Sequence[Rating],
    by_item: Mapping[str, Item],
    second: str,
    patients: Sequence[tuple[str, str]],
) -> Table:
    choices = [_preferred(rating, by_item[rating.item]) for rating in ratings]
    decided = [(c == second, p) for c, p in zip(choices, patients, strict=True) if c]
    right = sum(wins for wins, _ in decided)
    over_patients = None
    if decided:
        own = [patient for _, patient in decided]
        over_patients = bootstrap_ratio(
            [float(wins) for wins, _ in decided],
            [1] * len(decided),
            own,
            generator(0, "study preference"),
            strata=[dataset for dataset, _ in own],
        )
    votes: dict[str, int] = {}
    for rating, choice in zip(ratings, choices, strict=True):
        votes[rating.item] = (
            votes.get(rating.item, 0) + (choice == second) - (choice not in (second, ""))
        )
    won, lost = sum(v > 0 for v in votes.values()), sum(v < 0 for v in votes.values())
    return {
        "second": proportion(right, len(decided)) | {"ci95_over_patients": over_patients},
        "no_difference": len(choices) - len(decided),
        "cases_won_by_second": won,
        "cases_lost_by_second": lost,
        "sign_test_p": float(binomtest(won, won + lost).pvalue) if won + lost else None,
    }


def _agreement(ratings: Sequence[Rating], by_item: Mapping[str, Item], first: str) -> Table:
    quality: dict[str, dict[str, str]] = {}
    choices: dict[str, dict[str, str]] = {}
    for rating in ratings:
        item = by_item[rating.item]
        own = quality.setdefault(rating.rater, {})
        own[f"{rating.item} left"], own[f"{rating.item} right"] = (
            rating.left_quality,
            rating.right_quality,
        )
        preferred = _preferred(rating, item)
        choice = "none" if not preferred else "first" if preferred == first else "second"
        choices.setdefault(rating.rater, {})[rating.item] = choice
    options = ("first", "none", "second")
    return {
        "quality": {
            "krippendorff_alpha": krippendorff_alpha(quality, QUALITY, "ordinal"),
            "cohen_kappa": mean_kappa(quality, QUALITY, weighted=True),
        },
        "preference": {
            "krippendorff_alpha": krippendorff_alpha(choices, options, "nominal"),
            "cohen_kappa": mean_kappa(choices, options),
        },
    }


def _dice_agrees(
    ratings: Sequence[Rating], by_item: Mapping[str, Item], first: str, second: str
) -> float | None:
    rated, measured = [], []
    for rating in ratings:
        item = by_item[rating.item]
        if {first, second} <= item.dice.keys():
            rated.append(_quality(rating, item, second) - _quality(rating, item, first))
            measured.append(item.dice[second] - item.dice[first])
    return spearman(measured, rated) if len(rated) > 1 else None
