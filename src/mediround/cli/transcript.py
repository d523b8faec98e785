"""A dialogue on a terminal: numbers in the colours of the pictures, scores, doubts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mediround.dialogue import MARKER

if TYPE_CHECKING:
    from mediround.session import Session, SessionEntity, Turn

_CELLS = 10


def coloured(text: str) -> Text:
    """``text`` as it is, every ``[n]`` in the colour that entity n has in pictures."""
    from mediround.imaging.overlay import colour_of

    shown = Text(text)
    for found in MARKER.finditer(text):
        red, green, blue = colour_of(int(found.group(1)))
        shown.stylize(f"bold rgb({red},{green},{blue})", *found.span())
    return shown


def show_start(console: Console, session: Session) -> None:
    """What is looked at, by whom."""
    source, image = session.source, session.image
    name = "array" if source.path is None else source.path.name
    parts = [name, f"{image.size[1]} × {image.size[0]}", image.modality.value]
    if source.volume is not None and source.plane is not None:
        count = source.volume.count(source.plane)
        parts.insert(1, f"{source.plane} slice {source.slice} of {count}")
    console.print(Text(" · ".join([*parts, f"model {session.model.name}"]), style="dim"))


def show_turn(
    console: Console, number: int, turn: Turn, dice: Mapping[int, float] | None = None
) -> None:
    """One round: question, answer, and a line for every mask."""
    console.print()
    console.print(Text.assemble((f"{number:>2} ", "bold"), coloured(turn.query)))
    show_answer(console, turn, dice)


def show_answer(console: Console, turn: Turn, dice: Mapping[int, float] | None = None) -> None:
    """The answer of a round, and a line for every mask."""
    console.print(Text.assemble("   ", coloured(turn.text or "(no answer)")))
    show_entities(console, turn.entities, dice)


def show_entities(
    console: Console, entities: Iterable[SessionEntity], dice: Mapping[int, float] | None = None
) -> None:
    """A line an entity: number, name, score, doubts, agreement with a truth if there is one."""
    for entity in entities:
        line = Text("   ")
        line.append_text(coloured(f"[{entity.id}]"))
        line.append(f" {entity.name or 'unnamed':<28} ")
        if entity.score is not None:
            full = round(entity.score * _CELLS)
            line.append("━" * full, style="cyan")
            line.append("─" * (_CELLS - full), style="dim")
            line.append(f" score {entity.score:.2f}")
        if entity.status != "ok":
            line.append(f"  {entity.status}", style="bold yellow")
        if dice and entity.id in dice:
            line.append(f"  Dice {dice[entity.id]:.2f}", style="green")
        console.print(line)
