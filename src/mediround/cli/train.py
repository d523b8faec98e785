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
    SCENE = "scene"
    PARCELLATION = "parcellation"
    LANGUAGE = "language"
    QUESTIONS = "questions"
    JUDGE = "judge"
    DEDUCTION = "deduction"
    PACKAGE = "package"


_STAGES = {
    None: list(PartName),
    1: [
        PartName.FEATURES,
        PartName.MASKS,
        PartName.SCENE,
        PartName.PARCELLATION,
        PartName.LANGUAGE,
        PartName.QUESTIONS,
    ],
    2: [PartName.JUDGE, PartName.DEDUCTION, PartName.PACKAGE],
}


def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as recipes/nano.toml.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Dialogues, instead of those that the recipe names; or the folder of the labelled "
            "sets, $MEDIROUND_SHARED/data by default."
        ),
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
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda; for recipes of dialogues.")
    ] = "auto",
) -> None:
    """Train a model in two stages, on one device or, under torchrun, on many.

    A recipe of kind "dialogues" learns from built data sets or files of dialogues. Any other
    trains the parts of a model on labelled images.

    Example: mediround train recipes/tiny.toml --data dialogues --out runs/tiny
    """
    from mediround.training.staged.recipe import read_toml  # keeps --help fast

    logging.getLogger().setLevel(logging.INFO)
    folder = out or Path("runs") / config.stem
    values = read_toml(config)
    if values.get("kind") == "dialogues":
        if part is not None:
            raise ConfigError(f"--part {part.value}", expected="a recipe that trains parts")
        _on_dialogues(config, folder, stage, data, resume=resume, device=device)
        return
    if "kind" in values:
        raise ConfigError(
            f"{config.name}: kind is {values['kind']!r}", expected="dialogues, or none at all"
        )
    from mediround.training.parts.recipe import Recipe
    from mediround.training.parts.run import run

    recipe = Recipe.read(config)
    sets = data or _shared()
    if folder.exists() and any(folder.iterdir()) and not resume and part is None:
        raise ConfigError(
            f"{folder} already holds a run", expected="an empty folder", remedy="add --resume"
        )
    for each in [part] if part else _STAGES[stage]:
        run(recipe, sets, folder, each.value, threads=threads)
    typer.echo(f"The run is in {folder}")


def _on_dialogues(
    config: Path, folder: Path, stage: int | None, data: Path | None, *, resume: bool, device: str
) -> None:
    from mediround.training.staged.recipe import STAGES, DialogueRecipe
    from mediround.training.staged.run import train as train_on_dialogues

    recipe = DialogueRecipe.read(config)
    model = train_on_dialogues(
        recipe,
        folder,
        stages=[stage] if stage else STAGES,
        data=data,
        resume=resume,
        device=device,
    )
    typer.echo(f"model: {model}")


def _shared() -> Path:
    shared = os.environ.get("MEDIROUND_SHARED")
    if not shared:
        raise InputError(
            "no data folder is given",
            expected="--data, or MEDIROUND_SHARED in the environment",
            remedy="mediround train CONFIG --data FOLDER",
        )
    return Path(shared) / "data"
