"""Cases -> the numbers of a report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mediround.evaluation import ablation, propagation, turns
from mediround.evaluation.cases import Case, Setting
from mediround.evaluation.official_metrics import OfficialScores
from mediround.evaluation.scores import by_round, grouped, interval, intervals, score
from mediround.evaluation.statistics import calibration_error, reliability, spearman
from mediround.evaluation.turns import FALSE_PREMISES
from mediround.quirks import OfficialQuirks

Table = dict[str, Any]

GROUPS: Mapping[str, Callable[[Case], str]] = {
    "entities": lambda case: str(case.entity),
    "kinds": lambda case: case.kind,
    "answers": lambda case: "named" if case.named else "unnamed",
    "words": lambda c: "reference needed" if c.needs_reference else "reference not needed",
}
"""Parts of a report -> what its masks are grouped by."""


def build(
    cases: Sequence[Case],
    setting: Setting,
    settings: Sequence[Setting],
    seed: int,
    *,
    baselines: Sequence[Setting] = (),
) -> Table:
    """All numbers of ``setting``, the rounds of every setting, and what they are compared with.

    Intervals are 95 % bootstrap intervals over patients, resampled within their data sets.
    ``hd95`` is a share of the image's diagonal; it and ``nsd`` are None where not measured.
    """
    own = [case for case in cases if case.setting == setting]
    masks = [case for case in own if case.entity is not None]
    by_dataset = grouped(masks, lambda case: case.dataset)
    groups = {key: grouped(masks, group) for key, group in GROUPS.items()}
    return {
        "rounds": by_round(masks),
        **{
            key: {name: score(cases) for name, cases in group.items()}
            for key, group in groups.items()
        },
        "datasets": {name: {"rounds": by_round(group)} for name, group in by_dataset.items()},
        "outcomes": Counter(sorted(case.outcome for case in masks)),
        "refusals": _refusals(own),
        "false_premise": turns.false_premise(own),
        "name_accuracy": _name_accuracy(masks),
        "multi_target": turns.multi_target(masks),
        "answers_in_words": turns.answers_in_words(own),
        "judge": judge(masks),
        "official_metrics": _official(masks),
        "propagation": propagation.build(cases, setting, seed),
        "ablations": {"random": ablation.random_references(cases, setting, seed)},
        "baselines": ablation.baselines(cases, setting, baselines, seed),
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


def judge(masks: Sequence[Case]) -> Table:
    """How well the judge's score foretells the true IoU: over everything, and per data set."""
    judged = [case for case in masks if case.score is not None]
    table = _judged(judged)
    groups = grouped(judged, lambda case: case.dataset)
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
        "reliability": [dataclasses.asdict(each) for each in reliability(scores, truths)],
    }


def _judgements(cases: Iterable[Case]) -> tuple[list[float], list[float]]:
    pairs = [
        (case.score, case.overlap.iou)
        for case in cases
        if case.score is not None and case.overlap is not None
    ]
    return [score for score, _ in pairs], [iou for _, iou in pairs]


def _refusals(cases: Sequence[Case]) -> Table:
    """Absent structures that were refused, present ones that were, and masks nobody asked for."""
    absent = [case for case in cases if case.kind in FALSE_PREMISES]
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


def _official(masks: Sequence[Case]) -> Table:
    """What the official loop would log for these masks, smoothing constants included."""
    scores = OfficialScores(OfficialQuirks(smoothed_metrics=True))
    for case in masks:
        if case.truth is not None:
            truth = case.truth.decode()
            predicted = np.zeros_like(truth) if case.mask is None else case.mask.decode()
            scores.add(case.round - 1, predicted, truth)
    return dict(scores.scalars())


def _name_accuracy(masks: Sequence[Case]) -> Table:
    named = [case for case in masks if case.named and case.outcome == "drawn"]
    right = sum(case.predicted_name == case.entity for case in named)
    return {"n": len(named), "accuracy": right / len(named) if named else None}
