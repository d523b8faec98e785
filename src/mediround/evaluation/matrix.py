"""Cross-data-set validation: models by what they were trained on, against what they meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediround.evaluation.markdown_tables import grid, interval, number

Table = dict[str, Any]


def build(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """The matrix of reports of models that differ in their training data.

    Args:
        reports: (what the model was trained on, what its ``report.json`` holds). Where the first
            is a data set's name, or several joined by "+", its own cells are on the diagonal.

    Returns:
        "rows": name -> data set -> {"n", "dice", "ci95", "own"}; "columns": all data sets;
        "own" and "other": mean Dice of the cells on and off the diagonal, None without such.
    """
    columns = sorted({name for _, head in reports for name in head["datasets"]})
    rows: dict[str, Table] = {}
    cells: dict[bool, list[float]] = {True: [], False: []}
    for trained, head in reports:
        row: Table = {}
        for name, each in head["datasets"].items():
            score, own = each["rounds"]["all"], _is_own(trained, name)
            row[name] = {
                "n": score["n"],
                "dice": score["dice"],
                "ci95": head["ci95"]["datasets"][name]["dice"],
                "own": own,
            }
            cells[own].append(score["dice"])
        rows[trained] = row
    return {
        "rows": rows,
        "columns": columns,
        "own": _mean(cells[True]),
        "other": _mean(cells[False]),
    }


def markdown(matrix: Table) -> str:
    """The matrix as a Markdown table; own data sets are bold."""
    lines = grid(
        ["trained on \\ tested on", *matrix["columns"]],
        [
            [name, *(_cell(row.get(column)) for column in matrix["columns"])]
            for name, row in matrix["rows"].items()
        ],
    )
    means = f"Mean Dice on own data sets {number(matrix['own'])}, on others "
    return "\n".join([*lines, "", f"{means}{number(matrix['other'])}.", ""])


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "–"
    text = f"{number(cell['dice'])} [{interval(cell['ci95'])}]"
    return f"**{text}**" if cell["own"] else text


def _is_own(trained: str, dataset: str) -> bool:
    return dataset in trained.split("+")


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
