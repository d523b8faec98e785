"""``mediround segment``: a scripted dialogue about one image, its results in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mediround.cli.opening import (
    ImagePath,
    LowBits,
    ModalityName,
    ModelName,
    PlaneName,
    SliceIndex,
    check_image,
    open_session,
)
from mediround.cli.transcript import show_start, show_turn
from mediround.errors import MediRoundError, QueryError

if TYPE_CHECKING:
    from mediround.session import Session

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Example: mediround segment ct.dcm -q 'Segment the right kidney.' "
    "-q 'Now the counterpart of [1].' --out result"
)
def segment(
    image: ImagePath,
    query: Annotated[
        list[str],
        typer.Option("--query", "-q", metavar="…", help="Once a round; [n] is the n-th mask."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for results.")],
    model: ModelName = "nano",
    slice_: SliceIndex = None,
    plane: PlaneName = None,
    modality: ModalityName = None,
    low_bit: LowBits = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ask question after question about an image; write masks, pictures and the session.

    DIR gets mask_1.png … (mask_1.nii.gz … in the volume's own grid for a volume), overlay.png,
    overlay_1.png … (one a round) and session.json. Research use only, not a medical device.
    """
    _check_queries(query)
    check_image(image)
    # Imported behind the checks that need nothing: an empty question is answered at once.
    from mediround.imaging import ensure_folder

    ensure_folder(out)
    session = open_session(
        image,
        model,
        slice_=slice_,
        plane=plane,
        modality=modality,
        low_bit=low_bit,
        first_query=query[0],
    )
    console = Console(quiet=as_json, highlight=False)
    show_start(console, session)
    _converse(session, query, out, console)
    _finish(session, out, console, as_json=as_json)


def _check_queries(queries: list[str]) -> None:
    for number, text in enumerate(queries, start=1):
        if not text.strip():
            raise QueryError(
                f"the question of round {number} is empty",
                remedy="ask for a structure, e.g. -q 'Segment the liver.'",
            )


def _converse(session: Session, queries: list[str], out: Path, console: Console) -> None:
    """Ask and write round by round, so that a failure keeps what was made before it."""
    from mediround.session.results import prepare_folder, write_round

    folder = prepare_folder(out)
    for number, text in enumerate(queries, start=1):
        try:
            turn = session.ask(text)
        except MediRoundError as error:
            kept = f"; rounds before it are in {folder}" if number > 1 else ""
            raise type(error)(
                f"round {number}: {error.found}",
                expected=error.expected,
                remedy=error.remedy + kept if error.remedy else kept.removeprefix("; "),
            ) from error
        write_round(session, number, folder)
        show_turn(console, number, turn)


def _finish(session: Session, out: Path, console: Console, *, as_json: bool) -> None:
    from mediround.session.results import NOTICE, OVERVIEW, SESSION, mask_file

    masks = {
        number: str(out / mask_file(session, number))
        for number, entity in session.entities.items()
        if entity.mask is not None
    }
    if as_json:
        result: dict[str, Any] = json.loads((out / SESSION).read_text())
        result["files"] = {
            "session": str(out / SESSION),
            "overlay": str(out / OVERVIEW),
            "masks": {str(number): file for number, file in masks.items()},
        }
        result["notice"] = NOTICE
        typer.echo(json.dumps(result, indent=1))
        return
    console.print()
    for file in [*masks.values(), str(out / OVERVIEW), str(out / SESSION)]:
        console.print(file, markup=False, soft_wrap=True)
    console.print(NOTICE, style="yellow")
