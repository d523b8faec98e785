"""``mediround evaluate``: measure a model on labelled images, through the sessions people use."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mediround.cli.opening import LowBits
from mediround.cli.task_bar import task_bar


class Text(StrEnum):
    """Whose words the answers are."""

    FREE = "free"
    GOLD = "gold"


class References(StrEnum):
    """What later rounds refer to."""

    PREDICTED = "predicted"
    GOLD = "gold"
    RANDOM = "random"


class Correction(StrEnum):
    """Whether the model corrects its masks."""

    ON = "on"
    OFF = "off"


class Split(StrEnum):
    """Which patients."""

    VALIDATION = "validation"
    TRAIN = "train"
    ALL = "all"


class Words(StrEnum):
    """In which words generated questions are asked."""

    HELDOUT = "heldout"
    FRESH = "fresh"
    TRAIN = "train"


def evaluate(  # one parameter an option
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled images (an nnU-Net raw folder, or a folder that holds several), a "
            "folder of 'mediround data build', or a file of dialogues (.jsonl, .json, or the "
            "official bracket JSON)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report, the cases and the plots.")],
    model: Annotated[str, typer.Option(help="A preset or a model folder.")] = "nano",
    text: Annotated[
        Text, typer.Option(help="The model's own words, or the annotated answers.")
    ] = Text.FREE,
    references: Annotated[
        References,
        typer.Option(
            help="Later rounds see the model's own masks, the annotated ones, or, as a control, "
            "those of random other structures."
        ),
    ] = References.PREDICTED,
    correction: Annotated[
        Correction | None,
        typer.Option(help="Correct masks or not; by default as the model ships."),
    ] = None,
    curves: Annotated[
        bool, typer.Option(help="Measure the three usual settings besides, for comparison.")
    ] = True,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most slices of a data set, evenly spread.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Data set folder to use; may be repeated.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Which patients.")] = Split.VALIDATION,
    words: Annotated[
        Words,
        typer.Option(
            help="In which words generated questions are asked: held out of training, relations "
            "in fresh phrases of another hand, or those of training."
        ),
    ] = Words.HELDOUT,
    per_slice: Annotated[
        int | None,
        typer.Option(
            min=1, help="Dialogues on each slice: 1 where they are made now, else all there are."
        ),
    ] = None,
    dialogues: Annotated[bool, typer.Option(help="Hold dialogues.")] = True,
    swapped: Annotated[
        bool, typer.Option(help="Ask twins that differ in their referenced masks alone.")
    ] = False,
    pairs: Annotated[int, typer.Option(min=1, help="Most pairs of twins of a kind.")] = 120,
    kind: Annotated[
        list[str] | None, typer.Option(help="Kind of twins; may be repeated; all by default.")
    ] = None,
    ablations: Annotated[
        bool,
        typer.Option(help="Hold the dialogues with random references too, and ask a few twins."),
    ] = True,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="Hold the dialogues as a baseline too; may be repeated; 'all' for every one: "
            "single-round, text-rewriting, closed-set, lisa-style, language-alone, segllm-style, "
            "jcm, majority-location, named-location."
        ),
    ] = None,
    boundary: Annotated[
        bool, typer.Option(help="Measure how far outlines lie apart (MONAI).")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; the numbers do not depend on it.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or a CUDA device.")] = "auto",
    low_bit: LowBits = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure a model round by round on labelled images.

    Writes report.json, report.md, cases.parquet, cases.csv, swapped.json and plots. After an
    interruption the same command goes on where it stopped.

    Example: mediround evaluate --model nano --data datasets --out results --limit 20
    """
    from mediround.evaluation import EvaluationSettings
    from mediround.evaluation import evaluate as run
    from mediround.evaluation.pool import ModelSource
    from mediround.evaluation.swapped import SwappedSettings

    twins = None
    if swapped:
        kinds = _kinds(kind or [])
        twins = SwappedSettings(kinds=kinds, pairs=pairs, words=words.value, seed=seed)
    settings = EvaluationSettings(
        text=text.value,
        references=references.value,
        correction=None if correction is None else correction.value,
        curves=curves,
        split=split.value,
        words=words.value,
        limit=limit,
        only=tuple(only or ()),
        per_slice=per_slice,
        dialogues=dialogues,
        swapped=twins,
        ablations=ablations,
        baselines=_baselines(baseline or []),
        boundary=boundary,
        seed=seed,
    )
    with task_bar() as progress:
        bits = None if low_bit is None else low_bit.value
        source = ModelSource(model, device, threads, bits)
        report = run(source, data, out, settings, workers=workers, progress=progress)
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _show(report, Console(soft_wrap=True))
        typer.echo(f"report: {out / 'report.md'}")


def _kinds(names: list[str]) -> Any:
    from mediround.errors import InputError
    from mediround.evaluation.swapped import KINDS

    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise InputError(f"kind {unknown[0]!r}", expected=f"one of {', '.join(KINDS)}")
    return tuple(each for each in KINDS if each in names) if names else KINDS


def _baselines(names: list[str]) -> tuple[str, ...]:
    from mediround.evaluation.settings import BASELINES

    return tuple(BASELINES) if "all" in names else tuple(dict.fromkeys(names))


def _show(report: dict[str, Any], console: Console) -> None:
    if "rounds" in report:
        rounds = Table("round", "masks", "Dice", "gIoU", "cIoU", box=None, pad_edge=False)
        for number, row in report["rounds"].items():
            values = (_number(row[name]) for name in ("dice", "giou", "ciou"))
            rounds.add_row(number, str(row["n"]), *values)
        console.print(rounds)
        curves = Table("Dice by round", *report["rounds"], box=None, pad_edge=False)
        for name, curve in report["curves"].items():
            own = (curve["rounds"].get(n, {}).get("dice") for n in report["rounds"])
            curves.add_row(name, *map(_number, own))
        console.print(curves)
        for name, each in report["baselines"].items():
            console.print(f"baseline {name}: Dice {_number(each['rounds']['all']['dice'])}")
        judge = report["judge"]
        console.print(
            f"judge: Spearman {_number(judge['spearman'])}, calibration error "
            f"{_number(judge['ece'])} over {judge['n']} masks"
        )
    if "swapped" in report:
        twins = Table("swapped", "pairs", "both right", "random", box=None, pad_edge=False)
        for name, row in report["swapped"]["kinds"].items():
            both, control = row["both_right"], row["random_references"]["both_right"]
            twins.add_row(name, str(both["n"]), _number(both["share"]), _number(control["share"]))
        console.print(twins)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
