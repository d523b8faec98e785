"""``mediround train``: run a training recipe."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mediround.errors import ConfigError, InputError


class PartName(StrEnum):
    """A piece of a run."""

    FEATURES = "features"
    MASKS = "masks"
    LANGUAGE = "language"
    JUDGE = "judge"
    PACKAGE = "package"


_STAGES = {
    None: list(PartName),
    1: [PartName.FEATURES, PartName.MASKS, PartName.LANGUAGE],
    2: [PartName.JUDGE, PartName.PACKAGE],
}


def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as recipes/nano.toml.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets; $MEDIROUND_SHARED/data by default."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME of the recipe by default.")
    ] = None,
    stage: Annotated[
        int | None,
        typer.Option(min=1, max=2, help="1: all but the judge. 2: the judge. Default: both."),
    ] = None,
    part: Annotated[
        PartName | None,
        typer.Option(help="One part alone; masks and language may run side by side."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take up a run where it stopped.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processes for features, threads else.")] = 2,
) -> None:
    """Train a model in two stages; checkpoints every two minutes, logs as JSON lines.

    Example: mediround train recipes/nano.toml --data /data/sets --out runs/nano
    """
    from mediround.training.recipe import Recipe  # keeps --help fast
    from mediround.training.run import run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = Recipe.read(config)
    sets = data or _shared()
    folder = out or Path("runs") / config.stem
    if folder.exists() and any(folder.iterdir()) and not resume and part is None:
        raise ConfigError(
            f"{folder} already holds a run", expected="an empty folder", remedy="add --resume"
        )
    for each in [part] if part else _STAGES[stage]:
        run(recipe, sets, folder, each.value, threads=threads)
    typer.echo(f"The run is in {folder}")


def _shared() -> Path:
    shared = os.environ.get("MEDIROUND_SHARED")
    if not shared:
        raise InputError(
            "no data folder is given",
            expected="--data, or MEDIROUND_SHARED in the environment",
            remedy="mediround train CONFIG --data FOLDER",
        )
    return Path(shared) / "data"
