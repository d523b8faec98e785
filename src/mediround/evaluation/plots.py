"""The report's pictures, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from mediround.evaluation.cases import Case
from mediround.imaging.output import replacing

Table = Mapping[str, Any]


def rounds(curves: Table, path: Path) -> None:
    """Dice by round, one line a setting, with intervals where there are any."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for place, (name, curve) in enumerate(curves.items()):
        numbers = [number for number in curve["rounds"] if number != "all"]
        dice = [curve["rounds"][number]["dice"] for number in numbers]
        ends = [curve["ci95"][number]["dice"] for number in numbers]
        # A percentile interval may just miss its own mean; an error bar cannot be negative.
        below = [0 if e is None else max(0, d - e[0]) for d, e in zip(dice, ends, strict=True)]
        above = [0 if e is None else max(0, e[1] - d) for d, e in zip(dice, ends, strict=True)]
        # Side by side, or one setting's bars hide another's.
        where = [int(number) + 0.06 * place for number in numbers]
        axes.errorbar(where, dice, yerr=[below, above], marker="o", capsize=3, label=name)
    axes.set(xlabel="round", ylabel="Dice", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if curves:
        axes.legend(loc="lower left", fontsize="small")
    _save(figure, path)


def entities(scores: Table, ci95: Table, path: Path) -> None:
    """Dice by structure, best on top."""
    names = sorted((n for n in scores if scores[n]["n"]), key=lambda name: scores[name]["dice"])
    figure = Figure(figsize=(6, 1 + 0.25 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, [scores[name]["dice"] for name in names], color="tab:blue", alpha=0.6)
    for place, name in enumerate(names):
        ends = ci95[name]["dice"]
        if ends is not None:
            axes.plot(ends, [place, place], color="black", linewidth=1)
    axes.set(xlabel="Dice", xlim=(0, 1))
    _save(figure, path)


def judge(cases: Sequence[Case], calibration: Table, path: Path) -> None:
    """Left the judge's score against the true IoU of every mask, right their means in bins."""
    figure = Figure(figsize=(9, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    judged = [case for case in cases if case.score is not None and case.overlap is not None]
    for dataset in sorted({case.dataset for case in judged}):
        own = [case for case in judged if case.dataset == dataset]
        truths = [case.overlap.iou for case in own if case.overlap is not None]
        scores = [case.score for case in own if case.score is not None]
        left.scatter(scores, truths, s=8, alpha=0.5, label=dataset)
    bins = calibration["reliability"]
    right.plot([each["predicted"] for each in bins], [each["true"] for each in bins], marker="o")
    for each in bins:
        where = (each["predicted"], each["true"])
        right.annotate(
            str(each["n"]),
            where,
            (5, 5 if each["true"] < 0.1 else -11),
            textcoords="offset points",
            fontsize="small",
        )
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle=":")
        axes.set(xlabel="score", ylabel="IoU", xlim=(0, 1), ylim=(-0.02, 1.02))
    if judged:
        # Beside the axes: masks that are right or wrong altogether fill every corner inside.
        shown = left.get_legend_handles_labels()
        figure.legend(*shown, loc="outside upper left", ncols=3, fontsize="small")
    _save(figure, path)


def propagation(found: Table, path: Path) -> None:
    """Dice of a round by the Dice of what it builds on, with intervals and numbers of masks."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    titles = {
        "by_reference": "Dice of the masks that the question shows",
        "by_previous_round": "Dice of the round before",
    }
    for axes, (key, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        rows = found[key]["classes"]
        names = ["missing" if r["high"] <= 0.01 else f"{r['low']:g}–{r['high']:g}" for r in rows]
        dice = [row["dice"] for row in rows]
        axes.bar(names, dice, color="tab:blue", alpha=0.6)
        for place, row in enumerate(rows):
            if row["ci95"] is not None:
                axes.plot([place, place], row["ci95"], color="black", linewidth=1)
            axes.annotate(
                f"n = {row['n']}", (place, 0.02), ha="center", fontsize="small", color="black"
            )
        axes.set(xlabel=title, ylabel="Dice", ylim=(0, 1))
    _save(figure, path)


def matrix(found: Table, path: Path) -> None:
    """Dice by training (rows) and test data set (columns); own cells are framed."""
    rows, columns = list(found["rows"]), list(found["columns"])
    figure = Figure(figsize=(3 + 1.3 * len(columns), 2 + 0.7 * len(rows)), layout="constrained")
    axes = figure.subplots()
    values = [
        [found["rows"][row].get(column, {}).get("dice", float("nan")) for column in columns]
        for row in rows
    ]
    shown = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = found["rows"][row].get(column)
            if cell is None:
                continue
            ink = "black" if cell["dice"] > 0.6 else "white"
            axes.text(x, y, f"{cell['dice']:.2f}", ha="center", va="center", color=ink)
            if cell["own"]:
                frame = Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, fill=False, color="red", lw=2)
                axes.add_patch(frame)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="tested on", ylabel="trained on")
    figure.colorbar(shown, label="Dice")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # A canvas of its own: nothing global, so that several evaluations may run in one process.
    FigureCanvasAgg(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
