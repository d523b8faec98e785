"""Results as files: JSON, a table of cases, Markdown with plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediround.evaluation import plots
from mediround.evaluation.cases import Case, Setting, table
from mediround.imaging.output import replacing

Table = Mapping[str, Any]


def write_json(path: Path, content: Table) -> None:
    """Write ``content`` whole or not at all; raises :class:`OutputError`."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def write_dialogues(folder: Path, report: Table, cases: Sequence[Case], setting: Setting) -> None:
    """``report.json``, ``cases.csv`` and the plots."""
    write_json(folder / "report.json", report)
    with replacing(folder / "cases.csv") as file:
        file.write(table(cases).encode())
    plots.rounds(report["curves"], folder / "rounds.png")
    plots.entities(report["entities"], report["ci95"]["entities"], folder / "entities.png")
    own = [case for case in cases if case.setting == setting]
    plots.judge(own, report["judge"], folder / "judge.png")


def write_markdown(path: Path, report: Table, pairs: Table | None) -> None:
    """``report.md``: what a person reads first."""
    head = report or pairs or {}
    lines = [f"# Evaluation of {head['model']}", "", *_settings(head), ""]
    if report:
        lines += _dialogues(report)
    if pairs is not None:
        lines += _swapped(pairs)
    with replacing(path) as file:
        file.write(("\n".join(lines).rstrip() + "\n").encode())


def _settings(head: Table) -> list[str]:
    settings, data = head["settings"], head["data"]
    slices = ", ".join(f"{name} ({count} slices)" for name, count in data["slices"].items())
    lines = [
        f"- Data: {slices}; {settings['split']} patients.",
        f"- Text: {settings['text']}. References: {settings['references']}. "
        f"Seed: {settings['seed']}. Words: held out from training.",
        "- Intervals are 95 % bootstrap intervals over patients; Dice and IoU are measured in "
        "the pixels of the source image.",
    ]
    lines += [f"- Left out: {name} ({why})." for name, why in data["left_out"].items()]
    return lines


def _dialogues(report: Table) -> list[str]:
    lines = ["## By round", ""]
    lines += _score_table("round", report["rounds"], _all_intervals(report["ci95"]))
    lines += ["", "![Dice by round](rounds.png)", "", "## By data set", ""]
    datasets = {name: each["rounds"] for name, each in report["datasets"].items()}
    lines += _grid(
        ["data set", *report["rounds"], "95 % interval of all"],
        [
            [
                name,
                *(_number(each.get(number, {}).get("dice")) for number in report["rounds"]),
                _interval(report["ci95"]["datasets"][name]["dice"]),
            ]
            for name, each in datasets.items()
        ],
    )
    lines += ["", "## Settings compared (Dice)", ""]
    lines += _grid(
        ["setting", *report["rounds"]],
        [
            [name, *(_number(each["rounds"].get(n, {}).get("dice")) for n in report["rounds"])]
            for name, each in report["curves"].items()
        ],
    )
    for title, key in (("structure", "entities"), ("kind of question", "kinds")):
        lines += ["", f"## By {title}", ""]
        lines += _score_table(title, report[key], report["ci95"][key])
    lines += ["", "![Dice by structure](entities.png)", "", "## By what the words tell", ""]
    told = {name: each for key in ("answers", "words") for name, each in report[key].items()}
    ends = {
        name: each for key in ("answers", "words") for name, each in report["ci95"][key].items()
    }
    lines += _score_table("", told, ends)
    return [*lines, "", *_answers(report), "", *_judge(report["judge"]), ""]


def _answers(report: Table) -> list[str]:
    outcomes = ", ".join(f"{count} {name}" for name, count in report["outcomes"].items())
    refusals, names = report["refusals"], report["name_accuracy"]
    return [
        f"Masks: {outcomes}. What was not drawn, and what could not be asked because it refers "
        "to such a miss, counts as Dice 0.",
        "",
        f"Absent structures refused: {refusals['absent']['refused']} of "
        f"{refusals['absent']['n']}. Present ones refused: {refusals['present']['refused']} of "
        f"{refusals['present']['n']} rounds. Masks nobody asked for: {refusals['extra_masks']}. "
        f"Names right: {_number(names['accuracy'])} of {names['n']}.",
    ]


def _judge(judge: Table) -> list[str]:
    rows = {"all": judge, **judge["datasets"]}
    lines = ["## Judge: score against true IoU", ""]
    lines += _grid(
        ["data set", "n", "Spearman", "mean absolute error", "calibration error"],
        [
            [name, str(row["n"]), *(_number(row[key]) for key in ("spearman", "mae", "ece"))]
            for name, row in rows.items()
        ],
    )
    return [*lines, "", "![Score against IoU](judge.png)"]


def _swapped(pairs: Table) -> list[str]:
    settings = pairs["swapped_settings"]
    lines = [
        "## Swapped references",
        "",
        "Two questions with the same words and other referenced masks, given without text; "
        "both must be answered with the right structure. Intervals are Wilson's 95 %. "
        f"At most {settings['per_slice']} pairs of a kind on one slice, which differ in their "
        "structures or words; random references are the control.",
        "",
    ]
    rows = []
    for kind, each in pairs["kinds"].items():
        rows += [_swapped_row(kind, "all", each)]
        rows += [_swapped_row("", name, one) for name, one in each["datasets"].items()]
    head = ["kind", "data set", "pairs", "slices", "both right", "95 %", "and unnamed"]
    return [*lines, *_grid([*head, "single", "both right, random", "single, random"], rows)]


def _swapped_row(kind: str, dataset: str, rates: Table) -> list[str]:
    both, control = rates["both_right"], rates["random_references"]
    return [
        kind,
        dataset,
        str(both["n"]),
        str(rates["slices"]),
        _number(both["share"]),
        _interval(both["ci95"]),
        _number(rates["both_right_and_unnamed"]["share"]),
        _number(rates["right"]["share"]),
        _number(control["both_right"]["share"]),
        _number(control["right"]["share"]),
    ]


def _all_intervals(ci95: Table) -> Table:
    return {**ci95["rounds"], "all": ci95}


def _score_table(title: str, rows: Table, ci95: Table) -> list[str]:
    return _grid(
        [title, "masks", "Dice", "95 % interval", "gIoU", "cIoU"],
        [
            [
                name,
                str(row["n"]),
                _number(row["dice"]),
                _interval(ci95.get(name, {}).get("dice")),
                _number(row["giou"]),
                _number(row["ciou"]),
            ]
            for name, row in rows.items()
        ],
    )


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: Sequence[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.3f}–{value[1]:.3f}"
