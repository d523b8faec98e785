"""``mediround export``: a saved session in the formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mediround.cli.progress import moving_line
from mediround.errors import InputError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: mediround export result/session.json --to dicom-seg --out liver.dcm")
def export(
    session: Annotated[
        Path,
        typer.Argument(metavar="SESSION", help="A saved session: session.json, case.mediround."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="dicom-seg, nifti, coco, png, stl, dialogue (training data) or official.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PATH", help="A folder, or a file of the format."),
    ],
    source: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Where the image is now, if it has moved."),
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Official: leave out rounds that it cannot say.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Write the masks of a saved session in the geometry of its image.

    The image must be there: it is found where it was opened, or given with --source, and proven by
    its hash. Research use only, not a medical device.
    """
    if not session.exists():
        raise InputError(f"no file {str(session)!r}", expected="a session", remedy="check the path")
    with moving_line(f"writing {to} …"):
        from mediround.session.export import export_file
        from mediround.session.notice import NOTICE

        files = export_file(
            _session_of(session), to, out, source=source and source.absolute(), drop=drop
        )
    if as_json:
        written = [str(file) for file in files]
        typer.echo(json.dumps({"format": to, "files": written, "notice": NOTICE}, indent=1))
        return
    for file in files:
        typer.echo(str(file))
    typer.echo(NOTICE, err=True)


def _session_of(path: Path) -> Path:
    """The session file: ``path``, or ``session.json`` in the folder that ``segment`` wrote."""
    return path / "session.json" if path.is_dir() else path
