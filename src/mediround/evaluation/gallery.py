"""A contact sheet: the best, the middle and the worst cases, with truth and answer outlined."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mediround.evaluation.cases import Case
from mediround.evaluation.selection import Chosen
from mediround.geometry import Box, mask_to_box
from mediround.imaging import Image
from mediround.imaging.output import replacing
from mediround.imaging.overlay import display, interesting

ACROSS = 4
TRUTH, ANSWER = "#e69f00", "#56b4e9"


def contact_sheet(cases: Sequence[Case], chosen: Sequence[Chosen], path: Path) -> None:
    """Write the sheet as PNG.

    Args:
        cases: of one setting; those that should have drawn nothing are passed over.
        chosen: where the images are.
        path: of the picture.

    Raises:
        OutputError: it cannot be written.
    """
    rows = extremes(cases, ACROSS)
    wanted = {(case.dataset, case.slice) for _, group in rows for case in group}
    images = images_of(wanted, chosen)
    figure = Figure(figsize=(3.4 * ACROSS, 4.2 * max(1, len(rows))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(max(1, len(rows)), ACROSS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for line, (title, group) in zip(grid, rows, strict=False):
        for axes, case in zip(line, group, strict=False):
            _draw(axes, case, images[case.dataset, case.slice], title)
    figure.suptitle(f"Outlined: truth (orange), answer (blue, dashed). {len(cases)} cases.")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=90)


def extremes(cases: Sequence[Case], count: int) -> list[tuple[str, list[Case]]]:
    """The ``count`` best, middle and worst cases by Dice, no case twice; equal ones by place."""
    known = [case for case in cases if case.overlap is not None]
    ordered = sorted(known, key=lambda c: (-_dice(c), c.place, c.target))
    best = ordered[:count]
    worst = ordered[max(count, len(ordered) - count) :]
    middle = ordered[count : len(ordered) - len(worst)]
    start = max(0, (len(middle) - count) // 2)
    rows = [("best", best), ("median", middle[start : start + count]), ("worst", worst)]
    return [(title, group) for title, group in rows if group]


def images_of(
    wanted: set[tuple[str, str]], chosen: Sequence[Chosen]
) -> Mapping[tuple[str, str], Image]:
    """(data set, slice) -> image."""
    found: dict[tuple[str, str], Image] = {}
    for case in chosen:
        if any((case.dataset, name) in wanted for name in case.slices):
            for each in case.read():
                if (each.dataset, each.name) in wanted:
                    found[each.dataset, each.name] = each.image
    return found


def view_of(image: Image, case: Case) -> Box:
    """The part of the image to look at: the patient, and all of both masks."""
    shown = interesting(image)
    boxes = [shown]
    for code in (case.truth, case.mask):
        box = None if code is None else mask_to_box(code.decode())
        if box is not None:
            boxes.append(box)
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )


def _draw(axes: Any, case: Case, image: Image, title: str) -> None:
    shown = view_of(image, case)
    rows, columns = shown.slices()
    spacing = image.spacing or (1.0, 1.0)
    axes.imshow(display(image)[rows, columns], aspect=spacing[0] / spacing[1])
    for code, colour, style in ((case.truth, TRUTH, "solid"), (case.mask, ANSWER, "dashed")):
        mask = None if code is None else code.decode()[rows, columns]
        if mask is not None and mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=1.3, linestyles=style)
    fate = "" if case.outcome == "drawn" else f" ({case.outcome})"
    words = textwrap.shorten(case.query, 88, placeholder=" …")
    lines = [
        f"{title}: {case.entity}, Dice {_dice(case):.2f}{fate}",
        *textwrap.wrap(f"{case.round}: {words}", 44),
    ]
    axes.set_title("\n".join(lines), fontsize=8, loc="left")


def _dice(case: Case) -> float:
    assert case.overlap is not None  # callers pass such cases
    return case.overlap.dice
