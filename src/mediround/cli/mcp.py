"""``mediround mcp``: tools for language models, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediround.cli.opening import ModelName

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: mediround mcp --root images --out exports")
def mcp(
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Images are read below it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Exports go below it; without it, none."),
    ] = None,
    model: ModelName = "nano",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda …")] = "auto",
) -> None:
    """Serve the Model Context Protocol: list, open, ask, show, export.

    Research use only, not a medical device.
    """
    from mediround.server.mcp import create_mcp
    from mediround.session import load

    create_mcp(root, lambda: load(model, device=device), out=out).run("stdio")
