"""Pictures of what is in a data set of dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from mediround.data.inspection.stats import Statistics
from mediround.imaging.output import ensure_folder, replacing

_BLUE, _ORANGE = "#0072b2", "#e69f00"
_MOST_NAMES = 60
_GRAPH_NAMES = 24
_GRAPH_EDGES = 90


def draw_plots(found: Statistics, folder: Path) -> list[Path]:
    """Write all plots as PNG into ``folder``; their paths.

    Raises:
        OutputError: the folder cannot be written.
    """
    ensure_folder(folder)
    figures = {
        "rounds": _rounds(found),
        "relations": _relations(found),
        "entities": _entities(found),
        "modalities": _modalities(found),
        "lengths": _lengths(found),
        "references": _references(found),
        "reference-graph": _graph(found),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        save(figure, path)
        paths.append(path)
    return paths


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG; the file appears whole or not at all."""
    FigureCanvasAgg(figure)
    with replacing(path) as file:
        # Without matplotlib's version in it, equal data give equal bytes.
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def _rounds(found: Statistics) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _columns(left, found.rounds, "rounds of a dialogue", "dialogues")
    _columns(right, found.given, "masks given before the first round", "dialogues")
    return figure


def _relations(found: Statistics) -> Figure:
    kinds = [kind for kind, _ in reversed(found.kinds.most_common())]
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    needing = [found.needing[kind] for kind in kinds]
    rest = [found.kinds[kind] - found.needing[kind] for kind in kinds]
    places = range(len(kinds))
    axes.barh(places, needing, color=_ORANGE, label="need their reference")
    axes.barh(places, rest, left=needing, color=_BLUE, label="words alone would do")
    axes.set_yticks(places, [kind.replace("_", " ") for kind in kinds])
    axes.set(xlabel="rounds", ylim=(-0.6, len(kinds) - 0.4))
    axes.legend(loc="lower right")
    return figure


def _entities(found: Statistics) -> Figure:
    shown = found.entities.most_common(_MOST_NAMES)
    figure = Figure(figsize=(8, 1.2 + 0.2 * len(shown)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, dict(shown), "masks in answers")
    if len(found.entities) > len(shown):
        axes.set_title(f"the {len(shown)} most frequent of {len(found.entities)}")
    return figure


def _modalities(found: Statistics) -> Figure:
    figure = Figure(figsize=(9, 1.2 + 0.3 * max(3, len(found.datasets))), layout="constrained")
    left, right = figure.subplots(1, 2)
    _bars(left, dict(found.modalities.most_common()), "dialogues")
    _bars(right, dict(found.datasets.most_common()), "dialogues")
    return figure


def _lengths(found: Statistics) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _columns(left, found.query_words, "words of a question", "rounds")
    _columns(right, found.answer_words, "words of an answer", "")
    return figure


def _references(found: Statistics) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots(1, 3)
    _columns(axes[0], found.references, "references in a question", "rounds")
    _columns(axes[1], found.back, "rounds since the reference came", "references")
    levels = {name: found.difficulty[name] for name in ("easy", "medium", "hard")}
    axes[2].bar(list(levels), list(levels.values()), color=_BLUE)
    axes[2].set(xlabel="difficulty", ylabel="rounds")
    return figure


def _columns(axes: Axes, counts: Mapping[int, int], xlabel: str, ylabel: str) -> None:
    axes.bar(list(counts), list(counts.values()), color=_BLUE, width=0.85)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _bars(axes: Axes, counts: Mapping[str, int], xlabel: str) -> None:
    names = list(counts)[::-1]
    axes.barh(names, [counts[name] for name in names], color=_BLUE)
    axes.set(xlabel=xlabel, ylim=(-0.6, len(names) - 0.4))
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _graph(found: Statistics) -> Figure:
    """Arrows from what is referred to, to what is answered; the most frequent ones."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    axes = figure.subplots()
    degree: dict[str, int] = {}
    for (start, end), count in found.edges.items():
        if start != end:
            degree[start] = degree.get(start, 0) + count
            degree[end] = degree.get(end, 0) + count
    names = sorted(sorted(degree, key=lambda name: (-degree[name], name))[:_GRAPH_NAMES])
    edges = [
        (pair, count)
        for pair, count in found.edges.most_common()
        if pair[0] != pair[1] and pair[0] in names and pair[1] in names
    ][:_GRAPH_EDGES]
    spots = {
        name: (cos(2 * pi * place / len(names)), sin(2 * pi * place / len(names)))
        for place, name in enumerate(names)
    }
    most = max((count for _, count in edges), default=1)
    for (start, end), count in reversed(edges):
        axes.add_patch(_arrow(spots[start], spots[end], count / most))
    for place, (name, (x, y)) in enumerate(spots.items()):
        axes.plot(x, y, "o", color=_ORANGE, markersize=9)
        angle = 360 * place / len(names)
        turned = 90 < angle < 270
        axes.text(
            1.07 * x,
            1.07 * y,
            name,
            rotation=angle - 180 if turned else angle,
            rotation_mode="anchor",
            ha="right" if turned else "left",
            va="center",
            fontsize=9,
        )
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.75, 1.75), aspect="equal")
    axes.set_title("from the structure that a question refers to, to the one that answers")
    axes.set_axis_off()
    return figure


def _arrow(start: tuple[float, float], end: tuple[float, float], weight: float) -> Any:
    return FancyArrowPatch(
        start,
        end,
        connectionstyle="arc3,rad=0.18",
        arrowstyle="-|>",
        mutation_scale=8 + 8 * weight,
        linewidth=0.4 + 3.5 * weight,
        color=_BLUE,
        alpha=0.25 + 0.6 * weight,
        shrinkA=7,
        shrinkB=7,
    )
