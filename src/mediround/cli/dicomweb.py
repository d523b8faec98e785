"""``mediround dicomweb``: series of an image server, in and out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediround.cli.progress import moving_line
from mediround.errors import InputError

if TYPE_CHECKING:
    from mediround.imaging.dicomweb import DicomWeb

SERVERS, TOKEN = "MEDIROUND_DICOMWEB", "MEDIROUND_DICOMWEB_TOKEN"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Find and fetch series of a DICOMweb server, store segmentations.",
    epilog="Example: mediround dicomweb find --server http://localhost:8042/dicom-web",
)

Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help=f"Root of the server. {SERVERS} may list the allowed ones (commas); the first is the "
        f"default. {TOKEN}: a bearer token.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(epilog="Example: mediround dicomweb find --server http://localhost:8042/dicom-web")
def find(
    server: Server = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Of this study alone.")] = None,
    modality: Annotated[str | None, typer.Option(help="CT, MR, SEG …")] = None,
    as_json: AsJson = False,
) -> None:
    """List series: study, series, modality, number of images. No patient is shown."""
    with moving_line("asking …"):
        found = _server(server).series(study=study, modality=modality)
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found], indent=1))
        return
    for each in found:
        images = "?" if each.images is None else str(each.images)
        typer.echo(f"{each.study}  {each.series}  {each.modality:<4} {images:>5} images")


@app.command(epilog="Example: mediround dicomweb fetch 1.2.3 1.2.3.4 --out series")
def fetch(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study instance UID.")],
    series: Annotated[str, typer.Argument(metavar="SERIES", help="Series instance UID.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="An empty folder.")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a series into a folder; segment, chat and serve open that folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} is not empty", expected="a new or empty folder")
    with moving_line("asking …") as line:
        folder = _server(server).fetch(
            study, series, out, progress=lambda done, of: line(f"{done} of {of} images …")
        )
    images = sum(1 for _ in folder.glob("*.dcm"))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "images": images}))
    else:
        typer.echo(f"{folder}: {images} images")


@app.command(epilog="Example: mediround dicomweb store seg.dcm")
def store(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="DICOM objects.")],
    server: Server = None,
) -> None:
    """Store DICOM objects, such as a segmentation from mediround export."""
    from mediround.imaging.dicom_series import is_dicom

    for file in files:
        if not file.is_file() or not is_dicom(file):
            raise InputError(f"{str(file)!r} is not a DICOM file", remedy="check the path")
    with moving_line("storing …"):
        _server(server).store(files)
    typer.echo(f"stored {len(files)}")


def _server(url: str | None) -> DicomWeb:
    """The server of the command line if the machine's list has it, or there is no list."""
    from mediround.imaging.dicomweb import DicomWeb

    listed = [each.strip() for each in os.environ.get(SERVERS, "").split(",") if each.strip()]
    chosen = url or (listed[0] if listed else None)
    if chosen is None:
        raise InputError(
            "no image server is named",
            expected="--server URL",
            remedy=f"add --server, or set {SERVERS}",
        )
    return DicomWeb(chosen, allowed=listed or [chosen], token=os.environ.get(TOKEN))
