"""Results as files: JSON, tables of cases, plots, Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediround.evaluation import markdown, plots, storage
from mediround.evaluation.cases import Case, Setting, table
from mediround.imaging.output import replacing

Table = Mapping[str, Any]


def write_json(path: Path, content: Table) -> None:
    """Write ``content`` whole or not at all; raises :class:`OutputError`."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def write_text(path: Path, content: str) -> None:
    """Write ``content`` whole or not at all; raises :class:`OutputError`."""
    with replacing(path) as file:
        file.write(content.encode())


def write_dialogues(folder: Path, report: Table, cases: Sequence[Case], setting: Setting) -> None:
    """``report.json``, ``cases.parquet``, ``cases.csv`` and the plots."""
    write_json(folder / "report.json", report)
    with replacing(folder / "cases.csv") as file:
        file.write(table(cases).encode())
    storage.write_cases(folder / storage.CASES, cases)
    plots.rounds(report["curves"], folder / "rounds.png")
    plots.entities(report["entities"], report["ci95"]["entities"], folder / "entities.png")
    own = [case for case in cases if case.setting == setting]
    plots.judge(own, report["judge"], folder / "judge.png")
    plots.propagation(report["propagation"], folder / "propagation.png")


def write_markdown(path: Path, report: Table, pairs: Table | None) -> None:
    """``report.md``: what a person reads first."""
    write_text(path, markdown.page(report, pairs))
