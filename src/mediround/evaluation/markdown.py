"""The report that a person reads first, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediround.evaluation import markdown_findings as findings
from mediround.evaluation.markdown_tables import grid, interval, number, scores
from mediround.evaluation.surface import TOLERANCE

Table = Mapping[str, Any]


def page(report: Table, pairs: Table | None) -> str:
    """The whole report; ``report`` is empty where only pairs were asked."""
    head = report or pairs or {}
    lines = [f"# Evaluation of {head['model']}", "", *_settings(head), ""]
    if report:
        lines += _dialogues(report)
    if pairs is not None:
        lines += _swapped(pairs)
    return "\n".join(lines).rstrip() + "\n"


def _settings(head: Table) -> list[str]:
    settings, data = head["settings"], head["data"]
    slices = ", ".join(f"{name} ({count} slices)" for name, count in data["slices"].items())
    made = data["kind"] == "labelled images"
    part = f"{settings['split']} patients" if made else data["kind"]
    lines = [
        f"- Data: {slices}; {part}.",
        f"- Text: {settings['text']}. References: {settings['references']}. "
        f"Correction: {settings['correction'] or 'as the model ships'}. "
        f"Seed: {settings['seed']}." + (" Words: held out from training." if made else ""),
        "- Intervals are 95 % bootstrap intervals over patients; Dice and IoU are measured in "
        "the pixels of the source image.",
    ]
    if settings["boundary"]:
        lines.append(
            f"- NSD: share of the outlines within {TOLERANCE:g} mm of each other (pixels where "
            "the pixel size is unknown). HD95: 95 % Hausdorff distance as a share of the image's "
            "diagonal, less is better. A miss has NSD 0 and HD95 1; nothing is left out."
        )
    left_out = list(data["left_out"].items())
    lines += [f"- Left out: {name} ({why})." for name, why in left_out[:10]]
    if len(left_out) > 10:
        lines.append(f"- Left out besides: {len(left_out) - 10} more (see report.json).")
    return lines


def _dialogues(report: Table) -> list[str]:
    intervals = {**report["ci95"]["rounds"], "all": report["ci95"]}
    lines = ["## By round", "", *scores("round", report["rounds"], intervals)]
    lines += ["", "![Dice by round](rounds.png)", "", "## The three curves (Dice)", ""]
    lines += grid(
        ["setting", *report["rounds"]],
        [
            [name, *(number(each["rounds"].get(n, {}).get("dice")) for n in report["rounds"])]
            for name, each in report["curves"].items()
        ],
    )
    lines += ["", "## By data set", ""]
    lines += grid(
        ["data set", *report["rounds"], "95 % interval of all"],
        [
            [
                name,
                *(number(each["rounds"].get(n, {}).get("dice")) for n in report["rounds"]),
                interval(report["ci95"]["datasets"][name]["dice"]),
            ]
            for name, each in report["datasets"].items()
        ],
    )
    for title, key in (("structure", "entities"), ("kind of question", "kinds")):
        lines += ["", f"## By {title}", ""]
        lines += scores(title, report[key], report["ci95"][key])
    lines += ["", "![Dice by structure](entities.png)", "", "## By what the words tell", ""]
    told = {name: each for key in ("answers", "words") for name, each in report[key].items()}
    ends = {n: each for key in ("answers", "words") for n, each in report["ci95"][key].items()}
    lines += scores("", told, ends)
    sections = (
        findings.turns,
        findings.ablations,
        findings.baselines,
        findings.propagation,
        findings.judge,
    )
    for section in sections:
        written = section(report)
        lines += ["", *written] if written else []
    return [*lines, "", "## Best, median and worst", "", "![Cases](cases.png)", ""]


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
    return [*lines, *grid([*head, "single", "both right, random", "single, random"], rows)]


def _swapped_row(kind: str, dataset: str, rates: Table) -> list[str]:
    both, control = rates["both_right"], rates["random_references"]
    return [
        kind,
        dataset,
        str(both["n"]),
        str(rates["slices"]),
        number(both["share"]),
        interval(both["ci95"]),
        number(rates["both_right_and_unnamed"]["share"]),
        number(rates["right"]["share"]),
        number(control["both_right"]["share"]),
        number(control["right"]["share"]),
    ]
