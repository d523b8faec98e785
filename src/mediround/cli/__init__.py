"""The command ``mediround``: finds the sub-command, runs it, turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted. An error is one line on standard
error; ``--debug`` adds the traceback and what the library logs.

Each command lives in a file of its own beside this one, imported when it is invoked: the help
text, and every command that needs no model, answer without importing torch.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from mediround.cli.registry import LazyGroup
from mediround.errors import MediRoundError

app = typer.Typer(
    name="mediround",
    cls=LazyGroup,
    help="Multi-round, entity-level reasoning segmentation of medical images.",
    epilog="Example: mediround segment ct.dcm -q 'Segment the liver.' --out result",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from mediround import __version__

        typer.echo(f"mediround {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and log messages; works anywhere.")
    ] = False,
) -> None:
    """Multi-round, entity-level reasoning segmentation of medical images."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: without the program's name; ``sys.argv`` when None.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Accepted behind the sub-command too: that is where people add it after a failure.
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR,
        format="%(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        result = typer.main.get_command(app).main(
            words, prog_name="mediround", standalone_mode=False
        )
    except KeyboardInterrupt:
        return 130
    except typer.TyperException as error:
        _complain(f"{error.format_message()} Try 'mediround --help'.", debug=debug)
        return error.exit_code
    except MediRoundError as error:
        _complain(str(error), debug=debug)
        return error.exit_code
    except typer.Abort:
        _complain("aborted", debug=debug)
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence of a command
        name = type(error).__name__
        _complain(f"unexpected {name}: {error}; --debug shows where it arose", debug=debug)
        return 1
    # Without stand-alone mode an explicit exit arrives as its code, a finished command as None.
    return result if isinstance(result, int) else 0


def _complain(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"error: {' '.join(message.split())}", err=True)
