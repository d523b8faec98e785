"""``mediround data``: dialogues from labelled images, and what can be done with them."""

from __future__ import annotations

import typer

from mediround.cli.data_build import build
from mediround.cli.data_check import check
from mediround.cli.data_convert import convert
from mediround.cli.data_stats import stats

app = typer.Typer(
    name="data",
    help="Build, convert, check and describe data sets of dialogues.",
    epilog="Example: mediround data build datasets --out dialogues --dialogues 1000",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("build")(build)
app.command("convert")(convert)
app.command("check")(check)
app.command("stats")(stats)
