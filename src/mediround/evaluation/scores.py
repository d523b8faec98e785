"""Scores of groups of masks, with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mediround.evaluation.cases import Case
from mediround.evaluation.metrics import Scores
from mediround.evaluation.selection import generator
from mediround.evaluation.statistics import Interval, bootstrap_ratio

Table = dict[str, Any]

METRICS = ("dice", "giou", "ciou", "nsd", "hd95")
"""hd95 as a share of the image's diagonal: all are 0..1, and less is better for hd95 alone."""


def by_round(masks: Sequence[Case]) -> dict[str, Table]:
    """Round number, and "all" -> scores."""
    rounds = grouped(masks, lambda case: str(case.round))
    return {number: score(group) for number, group in rounds.items()} | {"all": score(masks)}


def score(masks: Iterable[Case]) -> Table:
    """Number of masks, Dice, gIoU, cIoU, surface Dice and relative HD95."""
    known = [case for case in masks if case.overlap is not None]
    table = dataclasses.asdict(Scores.over(c.overlap for c in known if c.overlap is not None))
    outlines = [case.surface for case in known if case.surface is not None]
    complete = bool(outlines) and len(outlines) == len(known)
    table["nsd"] = sum(s.nsd for s in outlines) / len(known) if complete else None
    table["hd95"] = sum(s.relative for s in outlines) / len(known) if complete else None
    return table


def intervals(masks: Sequence[Case], seed: int) -> Table:
    """Intervals of every metric over all masks, and under "rounds" for each round."""
    rounds = {
        number: {name: interval(group, name, seed) for name in METRICS}
        for number, group in grouped(masks, lambda case: str(case.round)).items()
    }
    return {name: interval(masks, name, seed) for name in METRICS} | {"rounds": rounds}


def interval(masks: Sequence[Case], metric: str, seed: int) -> Interval | None:
    """The 95 % interval of one metric; None where it was not measured, or on one patient."""
    fractions = [_fraction(case, metric) for case in masks]
    known = [each for each in fractions if each is not None]
    if len(known) < len(masks) or not known:
        return None
    return bootstrap_ratio(
        [top for top, _ in known],
        [bottom for _, bottom in known],
        [(case.dataset, case.patient) for case in masks],
        generator(seed, "bootstrap"),
        strata=[case.dataset for case in masks],
    )


def grouped(cases: Iterable[Case], key: Callable[[Case], str]) -> dict[str, list[Case]]:
    """Key -> its cases, keys sorted."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return dict(sorted(groups.items()))


def _fraction(case: Case, metric: str) -> tuple[float, float] | None:
    overlap, surface = case.overlap, case.surface
    if metric in ("nsd", "hd95"):
        if surface is None:
            return None
        return (surface.nsd if metric == "nsd" else surface.relative), 1.0
    if overlap is None:
        return None
    if metric == "ciou":
        return overlap.intersection, overlap.union
    return (overlap.dice if metric == "dice" else overlap.iou), 1.0
