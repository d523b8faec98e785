"""Sections of the report behind the scores: turns, ablations, baselines, propagation, judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediround.evaluation.markdown_tables import (
    DIFFERENCE,
    difference,
    grid,
    interval,
    number,
    proportion,
)

Table = Mapping[str, Any]


def turns(report: Table) -> list[str]:
    """Outcomes, refusals, several targets, answers in words."""
    outcomes = ", ".join(f"{count} {name}" for name, count in report["outcomes"].items())
    names, premise, several = (
        report[key] for key in ("name_accuracy", "false_premise", "multi_target")
    )
    lines = [
        "## Answers",
        "",
        f"Masks: {outcomes}. What was not drawn, and what could not be asked because it refers "
        "to such a miss, counts as Dice 0.",
        "",
        f"- Absent structures refused: {proportion(premise['absent_refused'])}.",
        f"- Present structures answered: {proportion(premise['present_answered'])}.",
        f"- False-premise accuracy, the mean of both: {number(premise['accuracy'])}.",
        f"- Masks nobody asked for: {report['refusals']['extra_masks']}.",
        f"- Names right: {number(names['accuracy'])} of {names['n']}.",
        f"- Several targets in one turn ({several['turns']} turns, {several['n']} masks): Dice "
        f"{number(several['dice'])} by name, {number(several['set_dice'])} in the best "
        f"assignment; single targets {number(several['single_target_dice'])}. Right number of "
        f"masks: {proportion(several['right_number'])}. Every target found and nothing besides: "
        f"{proportion(several['complete'])}.",
    ]
    told = report["answers_in_words"]
    if told["all"]["n"]:
        lines += ["", "Questions whose answer is in words:", ""]
        lines += grid(["kind", "right"], [[k, proportion(each)] for k, each in told.items()])
    return lines


def ablations(report: Table) -> list[str]:
    """What references are worth: random ones, swapped ones."""
    found = report["ablations"]
    lines = [
        "## Are references used?",
        "",
        "Random references against the model's own, free text, the same questions: the "
        "difference in Dice is what the reference is worth; near 0 it is ignored.",
        "",
    ]
    if found["random"] is None:
        lines.append("Not measured: no dialogue refers to anything, or ablations were left out.")
    else:
        rows = [[name, *difference(each)] for name, each in found["random"].items()]
        lines += grid(["random minus own", *DIFFERENCE], rows)
    if found.get("swapped"):
        lines += ["", "Swapped references: the same words about two masks, both to be right.", ""]
        lines += grid(
            ["kind", "pairs", "both right", "95 %", "with random references"],
            [
                [
                    kind,
                    str(each["n"]),
                    number(each["both_right"]),
                    interval(each["ci95"]),
                    number(each["random_references"]),
                ]
                for kind, each in found["swapped"].items()
            ],
        )
    return lines


def baselines(report: Table) -> list[str]:
    """Baselines on the same dialogues."""
    found = report["baselines"]
    if not found:
        return []
    return [
        "## Baselines",
        "",
        "The same dialogues, weights and decoder; the difference is the baseline's minus this "
        "report's setting, over patients.",
        "",
        *grid(
            ["baseline", "Dice", "95 % interval", *DIFFERENCE],
            [
                [
                    name,
                    number(each["rounds"]["all"]["dice"]),
                    interval(each["ci95"]["dice"]),
                    *difference(each["difference"]),
                ]
                for name, each in found.items()
            ],
        ),
    ]


def propagation(report: Table) -> list[str]:
    """Quality of a mask by quality of what it builds on."""
    found = report["propagation"]
    lines = ["## Error propagation", ""]
    for key, title in (
        ("by_reference", "Dice of the masks that the question shows"),
        ("by_previous_round", "Dice of the round before"),
    ):
        each = found[key]
        lines += [f"Spearman {number(each['spearman'])} over {each['n']} masks.", ""]
        lines += grid(
            [title, "masks", "Dice", "95 % interval", "could not be asked"],
            [
                [
                    _class(row),
                    str(row["n"]),
                    number(row["dice"]),
                    interval(row["ci95"]),
                    str(row["unaskable"]),
                ]
                for row in each["classes"]
            ],
        )
        lines.append("")
    if found["loss"]:
        lines += ["What the model's own references cost against gold ones, both in gold text:", ""]
        rows = [[_class(row), *difference(row)] for row in found["loss"]]
        lines += [*grid(["Dice of the own references", *DIFFERENCE], rows), ""]
    return [*lines, "![Error propagation](propagation.png)"]


def judge(report: Table) -> list[str]:
    """Score against truth."""
    found = report["judge"]
    rows = {"all": found, **found["datasets"]}
    return [
        "## Judge: score against true IoU",
        "",
        *grid(
            ["data set", "n", "Spearman", "mean absolute error", "calibration error"],
            [
                [name, str(row["n"]), *(number(row[key]) for key in ("spearman", "mae", "ece"))]
                for name, row in rows.items()
            ],
        ),
        "",
        "![Score against IoU](judge.png)",
    ]


def _class(row: Table) -> str:
    return "missing" if row["high"] <= 0.01 else f"{row['low']:.2f}–{row['high']:.2f}"
