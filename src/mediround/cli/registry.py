"""Which commands there are, and their loading at the moment of use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Command:
    """Where a command is and what it does in one line.

    ``target`` is ``module:name``; the name is a function with typer's annotations, or a
    ``typer.Typer`` for a command with sub-commands.
    """

    target: str
    summary: str


#: Every command, in the order of the help text.
COMMANDS: dict[str, Command] = {
    "demo": Command("mediround.cli.demo:app", "Hold a dialogue about a real CT."),
    "segment": Command("mediround.cli.segment:app", "Ask about an image, write the masks."),
    "chat": Command("mediround.cli.chat:app", "Talk about an image in the terminal."),
    "export": Command("mediround.cli.export:app", "A saved session in other programs' formats."),
    "dicomweb": Command("mediround.cli.dicomweb:app", "Series of an image server, in and out."),
    "data": Command("mediround.cli.data:app", "Build, convert, check and describe dialogues."),
    "train": Command("mediround.cli.train:train", "Train a model from a recipe."),
    "evaluate": Command("mediround.cli.evaluate:evaluate", "Measure a model on labelled images."),
    "compare": Command("mediround.cli.compare:compare", "Paired tests between reports."),
    "study": Command("mediround.cli.study:app", "A blinded study with readers."),
    "serve": Command("mediround.cli.serve:app", "The web page and the HTTP API."),
    "mcp": Command("mediround.cli.mcp:app", "Tools for language models (MCP, stdio)."),
    "weights": Command("mediround.cli.weights:app", "Fetch, verify, import and export weights."),
}


def load_command(name: str) -> Any:
    """Import the command ``name`` and return it as typer runs it."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """A group that knows its commands' summaries and imports a command when it is invoked."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            self.commands[name] = TyperCommand(
                name, help=command.summary, short_help=command.summary
            )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that ``args`` name, loading it in place of its summary."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)
