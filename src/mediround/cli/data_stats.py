"""``mediround data stats``: what is in a data set of dialogues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mediround.cli.task_bar import task_bar


def stats(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set of dialogues.")],
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw plots and sheets of rendered dialogues.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for them; DIR/plots by default.")] = None,
    dialogues: Annotated[
        int, typer.Option(min=1, help="Rendered dialogues; eight fit on a sheet.")
    ] = 24,
    seed: Annotated[int, typer.Option(help="Which dialogues are rendered.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Describe a data set of dialogues: rounds, relations, structures, lengths, references.

    Example: mediround data stats dialogues --plots
    """
    from mediround.data.inspection.stats import statistics

    with task_bar() as bar:
        progress = None if bar is None else lambda done, total: bar("reading images", done, total)
        found = statistics(folder, progress=progress)
    told = found.as_json()
    written: list[Path] = []
    if plots:
        from mediround.data.inspection.contact_sheet import contact_sheets
        from mediround.data.inspection.plots import draw_plots

        target = out or folder / "plots"
        written = draw_plots(found, target)
        written += contact_sheets(folder, target, dialogues=dialogues, seed=seed)
    if as_json:
        typer.echo(json.dumps({**told, "plots": [str(path) for path in written]}, indent=1))
        return
    _show(told, Console(soft_wrap=True))
    for path in written:
        typer.echo(str(path))


def _show(told: dict[str, Any], console: Console) -> None:
    rounds = sum(told["kinds"].values())
    console.print(
        f"{sum(told['dialogues'].values()):,} dialogues, {rounds:,} rounds, "
        f"{sum(told['images'].values()):,} images, {told['questions']:,} different questions, "
        f"{told['twins']:,} dialogues with a twin",
        highlight=False,
    )
    for name in ("dialogues", "rounds", "datasets", "modalities", "languages", "difficulty"):
        listed = ", ".join(f"{key} {count:,}" for key, count in told[name].items())
        console.print(f"{name}: {listed}", highlight=False)
    kinds = Table("relation", "rounds", "need their reference", box=None, pad_edge=False)
    for kind, count in told["kinds"].items():
        kinds.add_row(kind, f"{count:,}", f"{told['needing'][kind]:,}")
    console.print(kinds)
    names = Table("structure", "masks", box=None, pad_edge=False)
    for name, count in list(told["entities"].items())[:30]:
        names.add_row(name, f"{count:,}")
    console.print(names)
