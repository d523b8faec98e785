"""Rendered dialogues to look at: the image with all masks of a dialogue, the words beneath."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from mediround.data.inspection.plots import save
from mediround.data.shards import DialogueFolder, IndexEntry, Record, Sample
from mediround.dialogue import Dialogue, Entity, Rle
from mediround.imaging.output import ensure_folder
from mediround.imaging.overlay import Layer, Pixels, display, draw

_COLUMNS, _ROWS = 4, 2
_WIDTH = 62
_MOST_LINES = 24
_LATIN = 0x2E80  # from here on, the font has no letters


def contact_sheets(folder: Path, out: Path, *, dialogues: int = 24, seed: int = 0) -> list[Path]:
    """Draw some dialogues, every data set alike; the paths of the sheets.

    Dialogues in a script that the font lacks are passed over.

    Args:
        folder: a data set of dialogues.
        out: where the sheets go, as ``dialogues-1.png`` and so on.
        dialogues: how many; eight fit on a sheet.
        seed: which ones.

    Raises:
        DatasetError: the data set cannot be read.
        OutputError: the sheets cannot be written.
    """
    dataset = DialogueFolder(folder)
    rng = np.random.default_rng(seed)
    chosen = list(_choose(dataset, dialogues, rng))
    ensure_folder(out)
    paths = []
    per_sheet = _COLUMNS * _ROWS
    for number, start in enumerate(range(0, len(chosen), per_sheet), 1):
        path = out / f"dialogues-{number}.png"
        save(_sheet(chosen[start : start + per_sheet]), path)
        paths.append(path)
    return paths


def _choose(
    dataset: DialogueFolder, count: int, rng: np.random.Generator
) -> Iterator[tuple[Sample, Record]]:
    """Data sets take turns; of each, images at random, and of an image one dialogue."""
    entries: dict[str, list[IndexEntry]] = {}
    for entry in dataset.index():
        entries.setdefault(entry.dataset, []).append(entry)
    orders = [
        iter([listed[i] for i in rng.permutation(len(listed))]) for listed in entries.values()
    ]
    given = 0
    while orders and given < count:
        for order in list(orders):
            following = next(order, None)
            if following is None:
                orders.remove(order)
                continue
            sample = dataset.fetch(following)
            readable = [record for record in sample.records if _drawable(record.dialogue)]
            if readable and given < count:
                given += 1
                yield sample, readable[int(rng.integers(len(readable)))]


def _drawable(dialogue: Dialogue) -> bool:
    texts = [text for each in dialogue.rounds for text in (each.query, each.text)]
    return all(ord(mark) < _LATIN for text in texts for mark in text)


def _sheet(chosen: Sequence[tuple[Sample, Record]]) -> Figure:
    rows = -(-len(chosen) // _COLUMNS)
    figure = Figure(figsize=(5 * _COLUMNS, 7.8 * rows))
    grid = GridSpec(
        2 * rows, _COLUMNS, figure=figure, height_ratios=[1.35, 1] * rows,
        left=0.01, right=0.99, top=0.985, bottom=0.005, wspace=0.04, hspace=0.03,
    )  # fmt: skip
    for place, (sample, record) in enumerate(chosen):
        row, column = divmod(place, _COLUMNS)
        picture = figure.add_subplot(grid[2 * row, column])
        picture.imshow(_rendered(sample, record.dialogue))
        picture.set_title(f"{record.dataset} / {record.slice}, {record.split}", fontsize=8)
        picture.set_axis_off()
        words = figure.add_subplot(grid[2 * row + 1, column])
        words.set_axis_off()
        words.text(
            0, 1, _told(record.dialogue), fontsize=7.5, va="top", family="monospace",
            transform=words.transAxes, parse_math=False,
        )  # fmt: skip
    return figure


def _rendered(sample: Sample, dialogue: Dialogue) -> Pixels:
    image = sample.image()
    shown: dict[Rle, list[Entity]] = {}
    for entity in dialogue.entities():
        if entity.mask is not None:
            shown.setdefault(entity.mask, []).append(entity)
    layers = [Layer(same[0].id, mask.decode(), _caption(same)) for mask, same in shown.items()]
    return draw(image, layers) if layers else display(image)


def _caption(same: Sequence[Entity]) -> str:
    """One caption for all numbers of one mask."""
    others = " ".join(f"= {entity.id}" for entity in same[1:])
    return f"{same[0].name or ''} {others}".strip()


def _told(dialogue: Dialogue) -> str:
    listed = ", ".join(f"[{entity.id}] {entity.name}" for entity in dialogue.given)
    lines = textwrap.wrap(f"given: {listed}", _WIDTH, subsequent_indent="   ") if listed else []
    for number, each in enumerate(dialogue.rounds, 1):
        lines += textwrap.wrap(f"{number}. {each.query}", _WIDTH, subsequent_indent="   ")
        relation = each.relation
        mark = ""
        if relation is not None:
            needed = "*" if relation.evidence.get("needs_reference") else ""
            mark = f"  ({relation.kind}{needed})"
        lines += textwrap.wrap(f"> {each.text}{mark}", _WIDTH, initial_indent="   ",
                               subsequent_indent="     ")  # fmt: skip
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], "   …"]
    return "\n".join(lines)
