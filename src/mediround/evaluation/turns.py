"""What is measured by the turn: several targets at once, false premises, answers in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mediround.evaluation.cases import Case
from mediround.evaluation.scores import grouped, score
from mediround.evaluation.statistics import proportion

Table = dict[str, Any]

FALSE_PREMISES = ("absent", "premise")
"""Kinds of questions for something that is not there, or cannot be."""
FOUND = 0.5
"""IoU from which a target counts as found."""


def multi_target(masks: Sequence[Case]) -> Table:
    """Turns that ask for several masks, beside those that ask for one.

    ``dice`` takes the mask that the answer calls by the target's name, ``set_dice`` the best
    one-to-one assignment of the turn's masks (Hungarian method on IoU): their distance is what
    wrong names cost. ``complete`` turns have every target found (IoU at least 0.5 in the best
    assignment) and nothing besides.
    """
    several = [case for case in masks if case.targets > 1]
    turns = _turns(several)
    sets = [case.set_overlap.dice for case in several if case.set_overlap is not None]
    return {
        "turns": len(turns),
        "n": len(several),
        "dice": score(several)["dice"],
        "set_dice": sum(sets) / len(sets) if sets else None,
        "single_target_dice": score(c for c in masks if c.targets == 1)["dice"],
        "right_number": proportion(sum(t[0].drawn == t[0].targets for t in turns), len(turns)),
        "complete": proportion(sum(_complete(turn) for turn in turns), len(turns)),
    }


def false_premise(cases: Sequence[Case]) -> Table:
    """Questions for what is not there, and for what is there: who is refused.

    ``accuracy`` is the mean of both shares of right decisions: refusing everything gives 0.5.
    """
    absent = [case for case in cases if case.kind in FALSE_PREMISES and case.outcome != "rejected"]
    present = [
        turn[0]
        for turn in _turns(case for case in cases if case.entity is not None)
        if turn[0].outcome in ("drawn", "missed")
    ]
    refused = proportion(sum(case.drawn == 0 for case in absent), len(absent))
    answered = proportion(sum(case.drawn > 0 for case in present), len(present))
    shares = [each["share"] for each in (refused, answered) if each["share"] is not None]
    return {
        "absent_refused": refused,
        "present_answered": answered,
        "accuracy": sum(shares) / 2 if len(shares) == 2 else None,
    }


def answers_in_words(cases: Sequence[Case]) -> Table:
    """Questions whose answer is a name, a side, a size, a count…: kind -> share right."""
    told = [case for case in cases if case.right is not None]
    kinds = {
        kind: proportion(sum(bool(case.right) for case in group), len(group))
        for kind, group in grouped(told, lambda case: case.kind).items()
    }
    return {"all": proportion(sum(bool(case.right) for case in told), len(told)), **kinds}


def _turns(cases: Iterable[Case]) -> list[list[Case]]:
    turns: dict[object, list[Case]] = {}
    for case in cases:
        turns.setdefault(case.place, []).append(case)
    return list(turns.values())


def _complete(turn: Sequence[Case]) -> bool:
    found = [c.set_overlap is not None and c.set_overlap.iou >= FOUND for c in turn]
    return all(found) and turn[0].drawn == turn[0].targets
