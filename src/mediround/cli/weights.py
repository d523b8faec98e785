"""``mediround weights``: what can be fetched, where it is, is it intact; in and out."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mediround import weights
from mediround.cli.progress import moving_line
from mediround.cli.weights_transfer import export, import_

app = typer.Typer(
    help="Fetch, list and verify weights and samples; import and export checkpoints.\n\n"
    "Fetched files are kept in $MEDIROUND_HOME, else in the platform's cache folder.",
    epilog="Example: mediround weights pull lite-medsam",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command(
    "import", epilog="Example: mediround weights import ckpt_model --base llava-med --out m"
)(import_)
app.command("export", epilog="Example: mediround weights export m --out official --files bin")(
    export
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names from the list.")]


@app.callback(invoke_without_command=True)
def _weights(context: typer.Context) -> None:
    """Fetch, list and verify weights and samples."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", epilog="Example: mediround weights list --json")
def list_(*, as_json: Json = False) -> None:
    """Show names, sizes, licences, states and digests."""
    rows = [_describe(entry) for entry in weights.available()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "size", "licence", "state", "source SHA-256"):
        table.add_column(
            column, justify="right" if column == "size" else "left", no_wrap=column != "licence"
        )
    for row in rows:
        size = f"{row['bytes'] / 1e6:.0f} MB"
        digest = f"{row['source_sha256'][:12]}…" if row["source_sha256"] else "–"
        table.add_row(row["name"], size, row["licence"], row["state"], digest)
    Console(soft_wrap=True).print(table)


@app.command(epilog="Example: mediround weights pull lite-medsam sample-ct")
def pull(
    names: Names,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
) -> None:
    """Fetch and convert; does nothing for what is ready."""
    for name in names:
        with moving_line(f"{name} …") as progress:
            folder = weights.pull(name, force=force, progress=progress)
        typer.echo(f"{name}: {folder}")


@app.command(epilog="Example: ls $(mediround weights path sample-ct)")
def path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from the list.")],
) -> None:
    """Print the folder with the files, fetching them first when needed."""
    with moving_line(f"{name} …") as progress:
        folder = weights.path(name, progress=progress)
    typer.echo(str(folder))


@app.command(epilog="Example: mediround weights verify")
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", help="Names from the list; all fetched ones if none."),
    ] = None,
) -> None:
    """Read every byte and compare it with what was recorded."""
    fetched = [e.name for e in weights.available() if weights.status(e.name).state != "missing"]
    for name in names or fetched:
        with moving_line(f"reading {name}"):
            weights.verify(name)
        typer.echo(f"{name}: intact")
    if not (names or fetched):
        typer.echo("nothing has been fetched yet")


def _describe(entry: weights.Entry) -> dict[str, Any]:
    """One row of the list; ``bytes`` is exact once fetched, else the registry's estimate."""
    status = weights.status(entry.name)
    source = entry.source
    return {
        "name": entry.name,
        "description": entry.description,
        "licence": entry.licence,
        "bytes": status.size or entry.installed_bytes,
        "download_bytes": entry.download_bytes,
        "state": status.state,
        "detail": status.detail,
        "folder": str(status.folder),
        "source": source.fingerprint,
        "source_sha256": source.sha256 if isinstance(source, weights.WheelSource) else None,
        "files": dict(status.files),
    }
