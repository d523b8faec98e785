"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Table = Mapping[str, Any]


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a stroke inside a cell is escaped."""
    return [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]


def scores(title: str, rows: Table, ci95: Table) -> list[str]:
    """Scores by name, with the interval of Dice."""
    return grid(
        [title, "masks", "Dice", "95 % interval", "gIoU", "cIoU", "NSD", "HD95"],
        [
            [
                name,
                str(row["n"]),
                number(row["dice"]),
                interval(ci95.get(name, {}).get("dice")),
                *(number(row[metric]) for metric in ("giou", "ciou", "nsd", "hd95")),
            ]
            for name, row in rows.items()
        ],
    )


def number(value: float | None) -> str:
    """Three digits; a dash for nothing."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def signed(value: float | None) -> str:
    """Three digits with a sign; a dash for nothing."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def interval(value: Sequence[float] | None) -> str:
    """Both ends; a dash for nothing."""
    if value is None:
        return "–"
    low, high = value
    return f"{low:.3f}–{high:.3f}" if low >= 0 else f"{signed(low)} to {signed(high)}"


def proportion(value: Table) -> str:
    """Share, counts and interval."""
    if value["share"] is None:
        return "–"
    return f"{number(value['share'])} ({value['right']} of {value['n']}; {interval(value['ci95'])})"


def difference(value: Table | None) -> list[str]:
    """Cells of a paired difference: n, patients, difference, interval, p, effect."""
    if value is None:
        return ["0", *["–"] * 5]
    return [
        str(value["n"]),
        str(value["clusters"]),
        signed(value["difference"]),
        interval(value["ci95"]),
        number(value["p"]),
        "–" if value["effect"] is None else f"{value['effect']:+.2f}".replace("-", "−"),
    ]


DIFFERENCE = ("masks", "patients", "difference", "95 % interval", "p", "effect size")


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
