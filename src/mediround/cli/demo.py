"""``mediround demo``: a dialogue about a real CT, compared with the labels that come with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mediround.cli.opening import ModelName
from mediround.cli.page import command
from mediround.cli.progress import moving_line
from mediround.cli.transcript import coloured, show_start, show_turn

if TYPE_CHECKING:
    from mediround.cli.sample import LabelledVolume
    from mediround.session import Model, Session, Turn

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

REPORT = "report.html"


@dataclass(frozen=True)
class Step:
    """One round of the script: ``{n}`` in ``query`` is the mask of round n; what is meant."""

    query: str
    targets: tuple[str, ...]


#: Every round but the first and the last can only be answered through an earlier mask.
SCRIPT: tuple[Step, ...] = (
    Step("Segment the right kidney.", ("right kidney",)),
    Step("Please mark the counterpart of {1} on the other side.", ("left kidney",)),
    Step("Now find the artery from which the artery of {2} arises.", ("aorta",)),
    Step("Delineate the vein that runs alongside {3}.", ("inferior vena cava",)),
    Step("Show me the liver and the stomach.", ("liver", "stomach")),
)


@dataclass
class Held:
    """How a scripted dialogue went.

    Attributes:
        dice: entity number -> Dice (0..1) with the label of the structure that was asked for.
        all: one Dice for each structure asked for, 0 where nothing was drawn.
        notes: what did not go as written.
    """

    dice: dict[int, float] = field(default_factory=dict)
    all: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@app.command(epilog="Example: mediround demo --out out/demo")
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for results.")
    ] = Path("out/demo"),
    model: ModelName = "nano",
) -> None:
    """Hold a dialogue about a real CT; print answers, scores, and the Dice with its labels.

    Writes masks, pictures, session.json and report.html. The CT is fetched once, then kept.
    Research use only, not a medical device.
    """
    from mediround.imaging import ensure_folder

    ensure_folder(out)
    with moving_line("fetching the sample …") as progress:
        from mediround import weights

        folder = weights.path("sample-ct", progress=progress)
        progress("reading the sample …")
        from mediround.cli.sample import LabelledVolume
        from mediround.session import load
        from mediround.session.results import SESSION

        sample = LabelledVolume.read(folder)
        progress(f"loading {model} …")
        loaded = load(model)
    console = Console(highlight=False)
    show_demo(loaded, sample, out, console)
    console.print("\nGo on with this dialogue on the web page:", style="bold")
    console.print(command(out / SESSION, model), markup=False, soft_wrap=True)


def show_demo(
    model: Model,
    sample: LabelledVolume,
    out: Path,
    console: Console,
    script: Sequence[Step] = SCRIPT,
) -> Held:
    """Hold the dialogue on the slice that shows most of what it speaks of; write the results.

    Raises:
        DatasetError: no slice shows all structures of the script.
        OutputError: a file cannot be written.
    """
    from mediround.session import Session
    from mediround.session.report import write_report
    from mediround.session.results import NOTICE, prepare_folder, write_results
    from mediround.session.source import Source

    wanted = list(dict.fromkeys(name for step in script for name in step.targets))
    index = sample.best_slice(wanted)
    source = Source(sample.path.absolute(), sample.volume, index, "axial")
    folder = prepare_folder(out)
    with moving_line("looking at the image …"):
        session = Session(model, sample.volume.slice(index), source)
    show_start(console, session)
    held = hold(session, script, sample, console)
    with moving_line("writing pictures …"):
        write_results(session, folder)
        write_report(
            folder / REPORT,
            session,
            title="A dialogue about a CT of the abdomen",
            dice=held.dice,
            notes=[
                "Dice compares each mask with the label of the structure asked for. The labels "
                "come with the image, were made by TotalSegmentator, and were not used in "
                "training.",
                *held.notes,
            ],
        )
    mean = sum(held.all) / len(held.all)
    console.print(f"\nmean Dice {mean:.2f} over {len(held.all)} structures", style="bold")
    console.print(f"{folder / REPORT}", markup=False, soft_wrap=True)
    console.print(NOTICE, style="yellow")
    return held


def hold(
    session: Session, script: Sequence[Step], sample: LabelledVolume, console: Console
) -> Held:
    """Ask the script's questions; one whose reference was never drawn is left out and told."""
    held = Held()
    first_mask: dict[int, int] = {}
    for number, step in enumerate(script, start=1):
        needed = [int(found) for found in re.findall(r"\{(\d+)\}", step.query)]
        missing = [f"round {n}" for n in needed if n not in first_mask]
        if missing:
            held.all += [0.0] * len(step.targets)
            note = f"Round {number} was not asked: {' and '.join(missing)} drew nothing."
            _tell(held, note, console)
            continue
        query = re.sub(
            r"\{(\d+)\}", lambda found: f"[{first_mask[int(found.group(1))]}]", step.query
        )
        with moving_line("thinking …"):
            turn = session.ask(query)
        drawn = [entity.id for entity in turn.entities if entity.mask is not None]
        if drawn:
            first_mask[number] = drawn[0]
        _compare(session, turn, step, sample, held)
        show_turn(console, number, turn, held.dice)
        if len(drawn) != len(step.targets):
            note = f"Round {number} drew {len(drawn)} of {len(step.targets)} masks."
            _tell(held, note, console)
    return held


def _compare(session: Session, turn: Turn, step: Step, sample: LabelledVolume, held: Held) -> None:
    """Compare masks with what was asked for, in the order of asking."""
    from mediround.cli.sample import dice

    index = session.source.slice
    assert index is not None
    drawn = [(entity.id, entity.mask) for entity in turn.entities if entity.mask is not None]
    for place, target in enumerate(step.targets):
        if place >= len(drawn):
            held.all.append(0.0)
            continue
        number, mask = drawn[place]
        held.dice[number] = dice(mask, sample.truth(target, index))
        held.all.append(held.dice[number])


def _tell(held: Held, note: str, console: Console) -> None:
    held.notes.append(note)
    console.print("   ", coloured(note), style="yellow")
