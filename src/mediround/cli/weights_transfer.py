"""``mediround weights import`` and ``export``: somebody's checkpoints in, official ones out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediround.cli.progress import moving_line
from mediround.errors import MediRoundError

if TYPE_CHECKING:
    from mediround.weights.examination import Examination

_SHOWN = 10


class Template(StrEnum):
    """How dialogues were written in the model's training."""

    mistral_instruct = "mistral_instruct"
    llava_v1 = "llava_v1"


class Names(StrEnum):
    """How tensors are named."""

    plain = "plain"
    peft_04 = "peft-0.4"
    peft = "peft"


class Files(StrEnum):
    """How tensors are packed."""

    safetensors = "safetensors"
    bin = "bin"


Json = Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")]


def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC…", help="Files or folders that together make up a model or a part of it."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A new folder for the model.")
    ] = None,
    base: Annotated[
        list[Path] | None,
        typer.Option(
            "--base",
            metavar="FOLDER",
            help="Where config.json and tokenizer lie when not beside SRC; may be repeated.",
        ),
    ] = None,
    lora_alpha: Annotated[
        int | None,
        typer.Option("--lora-alpha", help="Scale of the adapters, if not in adapter_config.json."),
    ] = None,
    template: Annotated[
        Template, typer.Option("--template", help="How dialogues were written in training.")
    ] = Template.mistral_instruct,
    fresh_heads: Annotated[
        bool,
        typer.Option("--fresh-heads", help="Make untrained heads for base models that have none."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of fresh heads.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what would be done, write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Convert checkpoints of MediRound, LLaVA-Med, LLaVA, SAM, MedSAM or CLIP.

    The layout is told from keys and files: safetensors and PyTorch files, shards with an index,
    DeepSpeed folders, with or without peft's names. PyTorch files are opened in a process of
    their own; one that would run code is refused. Fails when any needed tensor is missing.
    """
    from mediround.model.official.folder import write_model
    from mediround.model.official.fresh import with_fresh_heads
    from mediround.weights.importing import examine

    if out is None and not dry_run:
        raise typer.BadParameter("give --out DIR, or --dry-run to write nothing")
    with moving_line("reading …"):
        examination = examine(sources, bases=base or [], lora_alpha=lora_alpha)
    failure: MediRoundError | None = None
    try:
        examination.require_complete()
        with tempfile.TemporaryDirectory(prefix="mediround-heads-") as heads:
            if fresh_heads:
                examination = with_fresh_heads(examination, Path(heads), seed=seed)
            if out is not None and not dry_run:
                with _counting(examination.bytes) as tick:
                    write_model(examination, out, template=template.value, tick=tick)
    except MediRoundError as error:
        failure = error
    written = out if failure is None and not dry_run else None
    if as_json:
        report = {**examination.to_json(), "out": None if written is None else str(written)}
        typer.echo(json.dumps(report, indent=2))
    else:
        _tell(examination, written)
    # The report comes first: it tells every key, the error only the first few.
    if failure is not None:
        raise failure


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new folder for the checkpoint.")
    ],
    names: Annotated[
        Names | None,
        typer.Option("--names", help="Names of the tensors; without: as they were imported."),
    ] = None,
    files: Annotated[
        Files | None,
        typer.Option("--files", help="Kind of the files; without: as they were imported."),
    ] = None,
    shard_gb: Annotated[
        float, typer.Option("--shard-gb", min=1e-6, help="Largest file, in 10⁹ bytes.")
    ] = 4.0,
    as_json: Json = False,
) -> None:
    """Write a model folder as an official checkpoint; every value stays as it is.

    The official programs read ``--files bin`` with ``--names peft-0.4`` if the model has
    adapters, else ``--names plain``; that is what a model gets that was not imported.
    """
    from mediround.model.official.folder import export_checkpoint

    packing = None if files is None else ("torch" if files is Files.bin else "safetensors")
    with _counting(None) as tick:
        exported = export_checkpoint(
            model,
            out,
            naming=None if names is None else names.value,
            packing=packing,  # type: ignore[arg-type]  # one of the two words above
            shard_bytes=max(8, int(shard_gb * 1e9)),
            tick=tick,
        )
    if as_json:
        typer.echo(json.dumps({**exported.to_json(), "out": str(out)}, indent=2))
        return
    kinds = ", ".join(f"{count} {dtype}" for dtype, count in exported.dtypes.items())
    typer.echo(f"{kinds} tensors, {exported.bytes / 1e6:.1f} MB, names {exported.naming}")
    for file in exported.files:
        typer.echo(str(out / file))


def _tell(examination: Examination, written: Path | None) -> None:
    for source in examination.sources:
        inside = f", under {source.wrapper}" if source.wrapper else ""
        typer.echo(
            f"{source.path}: layout {source.layout}, {source.container}{inside}, "
            f"names {source.naming}, {len(source.files)} file(s)"
        )
        if source.passed_over:
            typer.echo(f"  not read: {', '.join(source.passed_over)}")
    dtypes = ", ".join(f"{n} {dtype}" for dtype, n in examination.to_json()["dtypes"].items())
    typer.echo(f"parts: {', '.join(examination.parts)}")
    typer.echo(f"used: {dtypes} tensors, {examination.bytes / 1e6:.1f} MB")
    _list("ignored", [f"{key} ({reason})" for key, reason in examination.ignored.items()])
    _list("unexpected", examination.unexpected)
    _list("missing", examination.missing)
    _list("misshapen", [f"{name} {fault}" for name, fault in examination.misshapen.items()])
    if examination.architecture is not None:
        for name, value in examination.architecture.assumed.items():
            typer.echo(f"assumed: {name} = {value}, which nothing beside the tensors tells")
    if examination.fresh:
        typer.echo(
            f"untrained: {len(examination.fresh)} tensors of the heads, seed {examination.seed}; "
            "train the model before its answers mean anything"
        )
    if written is not None:
        whole = examination.architecture is not None
        typer.echo(f"{'model' if whole else 'parts of a model'}: {written}")


def _list(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    typer.echo(f"{title}: {len(lines)}")
    for line in lines[:_SHOWN]:
        typer.echo(f"  {line}")
    if len(lines) > _SHOWN:
        typer.echo(f"  … {len(lines) - _SHOWN} more with --json")


@contextmanager
def _counting(total: int | None) -> Iterator[Callable[[int], None]]:
    """A moving line that tells how much is written."""
    with moving_line("writing …") as show:
        of = "" if total is None else f" of {total / 1e9:.2f}"
        yield lambda done: show(f"writing … {done / 1e9:.2f}{of} GB")
