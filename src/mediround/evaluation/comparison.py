"""Reports against each other: paired tests on the same targets, corrected for their number."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediround.errors import DatasetError
from mediround.evaluation.cases import Case
from mediround.evaluation.paired import compare, holm
from mediround.evaluation.selection import generator
from mediround.evaluation.settings import Setting
from mediround.evaluation.storage import read_cases

Table = dict[str, Any]
Key = tuple[str, str, int, int, int]

METRICS = ("dice", "iou", "nsd", "hd95")
REPORT = "report.json"


@dataclass(frozen=True)
class Report:
    """An evaluation as it lies on disk.

    Attributes:
        name: what to call it.
        head: what ``report.json`` holds.
        cases: everything that was measured.
    """

    name: str
    head: Mapping[str, Any]
    cases: list[Case]

    @classmethod
    def read(cls, path: Path, name: str) -> Report:
        """Read the folder of an evaluation, or its ``report.json``.

        Raises:
            DatasetError: the folder holds no report or no cases.
        """
        folder = path if path.is_dir() else path.parent
        return cls(name, read_head(path), read_cases(folder))

    @property
    def setting(self) -> Setting:
        """The setting that the report is about."""
        own = self.head["settings"]
        return Setting(own["text"], own["references"], own.get("correction"))

    def masks(self, setting: Setting | None = None) -> dict[Key, Case]:
        """Targets under one setting, the report's own by default."""
        wanted = setting or self.setting
        return {
            (*case.place, case.target): case
            for case in self.cases
            if case.setting == wanted and case.entity is not None
        }


def read_head(path: Path) -> Mapping[str, Any]:
    """What ``report.json`` in (or at) ``path`` holds.

    Raises:
        DatasetError: it is missing, no JSON, or not of a report.
    """
    file = path / REPORT if path.is_dir() else path
    try:
        head = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{file.parent.name}/{file.name} cannot be read ({type(error).__name__})",
            expected=f"the {REPORT} of 'mediround evaluate'",
        ) from error
    if not isinstance(head, dict) or not {"model", "settings", "rounds"} <= head.keys():
        raise DatasetError(
            f"{file.parent.name}/{file.name} is no report", expected="model, settings and rounds"
        )
    return head


def compare_reports(reports: Sequence[Report], *, seed: int = 0) -> Table:
    """Every report against the first, target by target.

    For each metric, over all targets, in every round and in every data set: the paired difference
    with its 95 % bootstrap interval over patients, the p of the permutation test over patients,
    and that p after Holm's correction for all tests of this table.

    Args:
        reports: at least two, of the same dialogues.
        seed: of resampling.

    Raises:
        DatasetError: two reports have no target in common, or asked different questions under
            the same numbers.
    """
    first = reports[0]
    comparisons = [_compare(first, other, seed) for other in reports[1:]]
    rows = [row for each in comparisons for row in each["rows"]]
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    return {
        "reference": _named(first),
        "tests": sum(row["p"] is not None for row in rows),
        "comparisons": comparisons,
    }


def _compare(first: Report, other: Report, seed: int) -> Table:
    one, two = first.masks(), other.masks()
    shared = sorted(one.keys() & two.keys())
    if not shared:
        raise DatasetError(
            f"{first.name} and {other.name} have no target in common",
            expected="reports on the same data, limit and seed",
        )
    for key in shared:
        if one[key].entity != two[key].entity or one[key].truth != two[key].truth:
            raise DatasetError(
                f"round {key[3]} on {key[1]} asks for {one[key].entity} in {first.name} and for "
                f"{two[key].entity} in {other.name}",
                expected="reports on the same dialogues",
                remedy="evaluate both with the same data, seed and version",
            )
    pairs = [(one[key], two[key]) for key in shared]
    rows = [
        row
        for metric in METRICS
        for name, group in _groups(pairs).items()
        if (row := _row(metric, name, group, seed)) is not None
    ]
    return {
        **_named(other),
        "targets": len(pairs),
        "only_in_reference": len(one) - len(pairs),
        "only_here": len(two) - len(pairs),
        "rows": rows,
    }


def _groups(pairs: Sequence[tuple[Case, Case]]) -> dict[str, list[tuple[Case, Case]]]:
    groups: dict[str, list[tuple[Case, Case]]] = {"all": list(pairs)}
    for round_number in sorted({one.round for one, _ in pairs}):
        groups[f"round {round_number}"] = [p for p in pairs if p[0].round == round_number]
    for dataset in sorted({one.dataset for one, _ in pairs}):
        groups[dataset] = [p for p in pairs if p[0].dataset == dataset]
    return groups


def _row(metric: str, name: str, pairs: Sequence[tuple[Case, Case]], seed: int) -> Table | None:
    values = [(_value(one, metric), _value(two, metric)) for one, two in pairs]
    known = [(a, b) for a, b in values if a is not None and b is not None]
    if len(known) < len(values):
        return None  # not measured in one of them
    found = compare(
        [a for a, _ in known],
        [b for _, b in known],
        [(one.dataset, one.patient) for one, _ in pairs],
        generator(seed, "compare", metric, name),
        strata=[one.dataset for one, _ in pairs],
    )
    return {"metric": metric, "group": name, **dataclasses.asdict(found)}


def _value(case: Case, metric: str) -> float | None:
    if metric in ("nsd", "hd95"):
        surface = case.surface
        if surface is None:
            return None
        return surface.nsd if metric == "nsd" else surface.relative
    overlap = case.overlap
    return None if overlap is None else getattr(overlap, metric)


def _named(report: Report) -> Table:
    return {"name": report.name, "model": report.head["model"], "setting": report.setting.name}


def names_of(paths: Sequence[Path]) -> list[str]:
    """A short name for each report: its folder's, with as many parents as it takes to differ."""
    folders = [(path if path.is_dir() else path.parent).resolve() for path in paths]
    for depth in range(1, 8):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {folder.name}" for number, folder in enumerate(folders, start=1)]
