"""The same questions in another setting: random references, and baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from mediround.evaluation.cases import Case
from mediround.evaluation.paired import Difference, compare
from mediround.evaluation.scores import by_round, interval
from mediround.evaluation.selection import generator
from mediround.evaluation.settings import RANDOM, Setting

Table = dict[str, Any]


def paired(first: Sequence[Case], second: Sequence[Case], seed: int) -> Difference | None:
    """Dice of the second setting minus the first, on the targets that both were asked for."""
    others = {(case.place, case.target): case for case in second if case.overlap is not None}
    pairs = [
        (case, others[case.place, case.target])
        for case in first
        if case.overlap is not None and (case.place, case.target) in others
    ]
    if not pairs:
        return None
    return compare(
        [one.overlap.dice for one, _ in pairs if one.overlap is not None],
        [two.overlap.dice for _, two in pairs if two.overlap is not None],
        [(one.dataset, one.patient) for one, _ in pairs],
        generator(seed, "paired"),
        strata=[one.dataset for one, _ in pairs],
    )


def random_references(cases: Sequence[Case], setting: Setting, seed: int) -> Table | None:
    """Rounds with references: the model's own masks against random ones, in free text.

    None where the control was not held. A model that ignores its references loses nothing.
    """
    control = dataclasses.replace(RANDOM, correction=setting.correction)
    own = dataclasses.replace(control, references="predicted")
    random = _referring(cases, control)
    if not random:
        return None
    normal = _referring(cases, own)
    needed = [case for case in normal if case.needs_reference]
    return {
        "rounds with references": _table(paired(normal, random, seed)),
        "reference needed": _table(paired(needed, random, seed)),
    }


def baselines(
    cases: Sequence[Case], setting: Setting, settings: Sequence[Setting], seed: int
) -> dict[str, Table]:
    """Name of a baseline -> its rounds, and how it differs from ``setting`` on the same targets.

    Baselines that this model could not be held as are left out.
    """
    own = _masks(cases, setting)
    found = {}
    for each in settings:
        masks = _masks(cases, each)
        if not masks:
            continue  # the model has no part that this baseline needs
        found[each.name] = {
            "rounds": by_round(masks),
            "ci95": {"dice": interval(masks, "dice", seed)},
            "difference": _table(paired(own, masks, seed)),
        }
    return found


def _table(difference: Difference | None) -> Table | None:
    return None if difference is None else dataclasses.asdict(difference)


def _masks(cases: Sequence[Case], setting: Setting) -> list[Case]:
    return [case for case in cases if case.setting == setting and case.entity is not None]


def _referring(cases: Sequence[Case], setting: Setting) -> list[Case]:
    return [case for case in _masks(cases, setting) if case.reference_dice is not None]
