"""The images of finished evaluations, found again in their data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mediround.evaluation.comparison import Report
from mediround.evaluation.material import find_material
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.selection import Chosen, Part


def chosen_for(data: Path, reports: Sequence[Report]) -> list[Chosen]:
    """Every image of ``data`` that one of the reports may have looked at.

    Raises:
        DatasetError: nothing in ``data`` can be used.
    """
    datasets = {case.dataset for report in reports for case in report.cases}
    splits = {report.head["settings"]["split"] for report in reports}
    split: Part = splits.pop() if len(splits) == 1 else "all"
    only = () if data.is_file() or data.name in datasets else tuple(sorted(datasets))
    settings = EvaluationSettings(split=split, only=only)
    return find_material(data, settings, _silent).chosen


def _silent(done: int, total: int) -> None:
    """Nobody waits long enough to be told."""
