"""Cases -> the numbers of a report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mediround.evaluation.cases import Case, Setting
from mediround.evaluation.metrics import Overlap, Scores
from mediround.evaluation.selection import generator
from mediround.evaluation.statistics import (
    Interval,
    bootstrap_ratio,
    calibration_error,
    reliability,
    spearman,
)

Table = dict[str, Any]

GROUPS: Mapping[str, Callable[[Case], str]] = {
    "entities": lambda case: str(case.entity),
    "kinds": lambda case: case.kind,
    "answers": lambda case: "named" if case.named else "unnamed",
    "words": lambda c: "reference needed" if c.needs_reference else "reference not needed",
}
"""Parts of a report -> what its masks are grouped by."""


def build(cases: Sequence[Case], setting: Setting, settings: Sequence[Setting], seed: int) -> Table:
    """All numbers of ``setting``, and the rounds of every setting.

    Intervals are 95 % bootstrap intervals over patients, resampled within their data sets.
    """
    own = [case for case in cases if case.setting == setting]
    masks = [case for case in own if case.entity is not None]
    by_dataset = _grouped(masks, lambda case: case.dataset)
    groups = {key: _grouped(masks, group) for key, group in GROUPS.items()}
    return {
        "rounds": by_round(masks),
        **{
            key: {name: _score(cases) for name, cases in group.items()}
            for key, group in groups.items()
        },
        "datasets": {name: {"rounds": by_round(group)} for name, group in by_dataset.items()},
        "outcomes": Counter(sorted(case.outcome for case in masks)),
        "refusals": _refusals(own),
        "name_accuracy": _name_accuracy(masks),
        "judge": judge(masks),
        "curves": {each.name: _curve(cases, each, seed) for each in settings},
        "ci95": intervals(masks, seed)
        | {"datasets": {name: intervals(group, seed) for name, group in by_dataset.items()}}
        | {
            key: {name: {"dice": interval(cases, "dice", seed)} for name, cases in group.items()}
            for key, group in groups.items()
        },
    }


def _curve(cases: Sequence[Case], setting: Setting, seed: int) -> Table:
    masks = [case for case in cases if case.setting == setting and case.entity is not None]
    return {"rounds": by_round(masks), "ci95": intervals(masks, seed)["rounds"]}


def by_round(masks: Sequence[Case]) -> dict[str, Table]:
    """Round number, and "all" -> scores."""
    return _scores(masks, lambda case: str(case.round)) | {"all": _score(masks)}


def intervals(masks: Sequence[Case], seed: int) -> Table:
    """Intervals of dice, giou and ciou over all masks, and under "rounds" for each round."""
    names = ("dice", "giou", "ciou")
    rounds = {
        number: {name: interval(group, name, seed) for name in names}
        for number, group in _grouped(masks, lambda case: str(case.round)).items()
    }
    return {name: interval(masks, name, seed) for name in names} | {"rounds": rounds}


def interval(masks: Sequence[Case], metric: str, seed: int) -> Interval | None:
    """The 95 % interval of one metric; None where fewer than two patients were seen."""
    fractions = [_fraction(each, metric) for each in _overlaps(masks)]
    return bootstrap_ratio(
        [top for top, _ in fractions],
        [bottom for _, bottom in fractions],
        [(case.dataset, case.patient) for case in masks],
        generator(seed, "bootstrap"),
        strata=[case.dataset for case in masks],
    )


def judge(masks: Sequence[Case]) -> Table:
    """How well the judge's score foretells the true IoU: over everything, and per data set."""
    judged = [case for case in masks if case.score is not None]
    table = _judged(judged)
    scores, truths = _judgements(judged)
    table["reliability"] = [dataclasses.asdict(each) for each in reliability(scores, truths)]
    groups = _grouped(judged, lambda case: case.dataset)
    table["datasets"] = {name: _judged(group) for name, group in groups.items()}
    return table


def _judged(cases: Sequence[Case]) -> Table:
    scores, truths = _judgements(cases)
    errors = np.abs(np.array(scores) - np.array(truths))
    return {
        "n": len(scores),
        "spearman": spearman(scores, truths),
        "mae": float(errors.mean()) if scores else None,
        "ece": calibration_error(scores, truths),
    }


def _judgements(cases: Iterable[Case]) -> tuple[list[float], list[float]]:
    pairs = [
        (case.score, case.overlap.iou)
        for case in cases
        if case.score is not None and case.overlap is not None
    ]
    return [score for score, _ in pairs], [iou for _, iou in pairs]


def _fraction(overlap: Overlap, metric: str) -> tuple[float, float]:
    if metric == "ciou":
        return overlap.intersection, overlap.union
    return (overlap.dice if metric == "dice" else overlap.iou), 1.0


def _refusals(cases: Sequence[Case]) -> Table:
    """Absent structures that were refused, present ones that were, and masks nobody asked for."""
    absent = [case for case in cases if case.entity is None]
    asked = {
        (case.dataset, case.slice, case.dialogue, case.round): case
        for case in cases
        if case.entity is not None and case.outcome in ("drawn", "missed")
    }
    wanted = Counter(
        (case.dataset, case.slice, case.dialogue, case.round)
        for case in cases
        if case.entity is not None
    )
    return {
        "absent": {"n": len(absent), "refused": sum(case.drawn == 0 for case in absent)},
        "present": {"n": len(asked), "refused": sum(c.drawn == 0 for c in asked.values())},
        "extra_masks": sum(max(0, c.drawn - wanted[where]) for where, c in asked.items()),
    }


def _name_accuracy(masks: Sequence[Case]) -> Table:
    named = [case for case in masks if case.named and case.outcome == "drawn"]
    right = sum(case.predicted_name == case.entity for case in named)
    return {"n": len(named), "accuracy": right / len(named) if named else None}


def _overlaps(masks: Iterable[Case]) -> list[Overlap]:
    return [case.overlap for case in masks if case.overlap is not None]


def _score(masks: Iterable[Case]) -> Table:
    return dataclasses.asdict(Scores.over(_overlaps(masks)))


def _scores(masks: Sequence[Case], key: Callable[[Case], str]) -> dict[str, Table]:
    return {name: _score(group) for name, group in _grouped(masks, key).items()}


def _grouped(cases: Iterable[Case], key: Callable[[Case], str]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return dict(sorted(groups.items()))
