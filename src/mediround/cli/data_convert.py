"""``mediround data convert``: typed dialogues to the official bracket JSON, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediround.cli.progress import moving_line
from mediround.errors import DatasetError

if TYPE_CHECKING:
    from mediround.data.official.conversion import Conversion

_KINDS = {".json": "official", ".jsonl": "typed"}


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Official .json, typed .jsonl, or a folder of data build."
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The file to write; images and masks go beside it."),
    ],
    to: Annotated[
        str | None,
        typer.Option(help="official or typed; default by OUT's ending, .json or .jsonl."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the official images and masks; default that of IN."),
    ] = None,
    drop: Annotated[
        bool,
        typer.Option("--drop", help="Leave out, and count, what the other format cannot say."),
    ] = False,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Official: lose names, scores and relations instead of keeping them."
        ),
    ] = False,
    only_255: Annotated[
        bool,
        typer.Option(
            "--only-255", help="Official masks: count pixels equal to 255, as the official code."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Convert typed dialogues into the official bracket JSON, or back, exactly.

    What the other format cannot say is refused with the reason, or dropped and counted.

    Example: mediround data convert dialogues official/train.json --drop
    """
    kind = _kind_of_out(out, to)
    _check_source(source, kind)
    from mediround.data.official.conversion import convert_to_official, convert_to_typed
    from mediround.quirks import OfficialQuirks

    with moving_line(f"{source.name} …") as line:

        def progress(read: int) -> None:
            if read % 50 == 0:
                line(f"{source.name}: {read:,} dialogues …")

        if kind == "typed":
            quirks = OfficialQuirks(only_255_is_mask=only_255)
            found = convert_to_typed(
                source, out, root=root, drop=drop, quirks=quirks, progress=progress
            )
        else:
            found = convert_to_official(source, out, drop=drop, plain=plain, progress=progress)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **found.as_json()}, indent=1))
    else:
        _tell(out, found)


def _kind_of_out(out: Path, to: str | None) -> str:
    kind = to or _KINDS.get(out.suffix, "")
    if kind not in _KINDS.values():
        what = f"--to is {to!r}" if to else f"{out.name!r} ends neither in .json nor in .jsonl"
        raise DatasetError(
            what,
            expected="official or typed",
            remedy="add --to official or --to typed",
        )
    return kind


def _check_source(source: Path, kind: str) -> None:
    if not source.exists():
        raise DatasetError(f"no file or folder {str(source)!r}", remedy="check the path")
    found = "typed" if source.is_dir() else _KINDS.get(source.suffix)
    if found == kind:
        raise DatasetError(
            f"{source.name!r} holds {found} dialogues already",
            expected=f"{'official' if kind == 'typed' else 'typed'} ones to be made {kind}",
        )


def _tell(out: Path, found: Conversion) -> None:
    typer.echo(f"{out}: {found.written:,} of {found.read:,} dialogues")
    for title, counts in (("left out", found.refused), ("rounds dropped", found.dropped)):
        for reason, count in counts.most_common():
            typer.echo(f"{title}: {count:,} – {reason}")
    if found.respelled:
        typer.echo(
            f"{found.respelled:,} would be spelled differently when written as official again, "
            "to the same effect"
        )
    if found.without_reference:
        typer.echo(
            f"{found.without_reference:,} refer to nothing: the official loader stops at them"
        )
