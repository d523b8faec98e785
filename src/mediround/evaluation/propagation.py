"""Error propagation: how good a mask is, given how good what it builds on was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from mediround.evaluation.ablation import paired
from mediround.evaluation.cases import Case
from mediround.evaluation.scores import interval, score
from mediround.evaluation.settings import Setting
from mediround.evaluation.statistics import spearman

Table = dict[str, Any]

EDGES = (0.0, 0.01, 0.5, 0.7, 0.85, 1.0)
"""Dice of what a round builds on; below the first inner edge it was as good as missing."""


def build(cases: Sequence[Case], setting: Setting, seed: int) -> Table:
    """Dice by the quality of the referenced masks, and by that of the round before.

    With gold text, both with gold and with predicted references, ``loss`` holds the paired
    difference that the predicted references make, in the same classes of quality: there nothing
    but the mask in the reference's place differs.
    """
    own = [case for case in cases if case.setting == setting and case.entity is not None]
    before = _previous(own)
    referring = [case for case in own if case.reference_dice is not None]
    following = [case for case in own if _before(case) in before]
    return {
        "by_reference": _classes(referring, _reference_quality, seed),
        "by_previous_round": _classes(following, lambda c: before[_before(c)], seed),
        "loss": _loss(cases, setting, seed),
    }


def _classes(cases: Sequence[Case], quality: Callable[[Case], float], seed: int) -> Table:
    rows = []
    for low, high, group in _binned(cases, quality):
        rows.append(
            {
                "low": low,
                "high": high,
                "n": len(group),
                "dice": score(group)["dice"],
                "ci95": interval(group, "dice", seed),
                "unaskable": sum(case.outcome == "unaskable" for case in group),
            }
        )
    dice = [case.overlap.dice for case in cases if case.overlap is not None]
    return {
        "n": len(cases),
        "spearman": spearman([quality(case) for case in cases], dice),
        "classes": rows,
    }


def _loss(cases: Sequence[Case], setting: Setting, seed: int) -> list[Table]:
    gold = Setting("gold", "gold", setting.correction)
    predicted = Setting("gold", "predicted", setting.correction)
    right = [case for case in cases if case.setting == gold]
    built = [c for c in cases if c.setting == predicted and c.reference_dice is not None]
    rows = []
    for low, high, group in _binned(built, _reference_quality):
        keys = {(case.place, case.target) for case in group}
        same = [case for case in right if (case.place, case.target) in keys]
        difference = paired(same, group, seed)
        if difference is not None:
            rows.append({"low": low, "high": high, **dataclasses.asdict(difference)})
    return rows


def _binned(
    cases: Sequence[Case], quality: Callable[[Case], float]
) -> list[tuple[float, float, list[Case]]]:
    found = []
    for low, high in pairwise(EDGES):
        last = high == EDGES[-1]
        group = [c for c in cases if low <= quality(c) and (quality(c) < high or last)]
        if group:
            found.append((low, high, group))
    return found


def _previous(cases: Sequence[Case]) -> dict[object, float]:
    """Turn -> mean Dice of its masks."""
    turns: dict[object, list[float]] = {}
    for case in cases:
        if case.overlap is not None:
            turns.setdefault(case.place, []).append(case.overlap.dice)
    return {place: sum(dice) / len(dice) for place, dice in turns.items()}


def _before(case: Case) -> tuple[str, str, int, int]:
    return case.dataset, case.slice, case.dialogue, case.round - 1


def _reference_quality(case: Case) -> float:
    assert case.reference_dice is not None  # callers choose such cases
    return case.reference_dice
