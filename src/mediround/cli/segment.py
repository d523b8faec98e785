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
    corners_of,
    open_session,
)
from mediround.cli.transcript import show_entities, show_start, show_turn
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
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for results.")],
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", metavar="…", help="Once a round; [n] is the n-th mask."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            metavar="X0,Y0,X1,Y1",
            help="Find the structure in a box, in pixels; becomes [1], … before the questions.",
        ),
    ] = None,
    model: ModelName = "nano",
    slice_: SliceIndex = None,
    plane: PlaneName = None,
    modality: ModalityName = None,
    low_bit: LowBits = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ask question after question about an image, or enclose what is meant; write the results.

    DIR gets mask_1.png … (mask_1.nii.gz … in the volume's own grid for a volume), overlay.png,
    overlay_1.png … (one a round) and session.json. Research use only, not a medical device.
    """
    queries, boxes = query or [], [corners_of(each) for each in box or []]
    _check_queries(queries, boxes)
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
        # Whether a question may speak of [1] is known when there is one.
        first_query=None if boxes else queries[0],
    )
    console = Console(quiet=as_json, highlight=False)
    from mediround.session.results import prepare_folder

    show_start(console, session)
    folder = prepare_folder(out)
    _enclose(session, boxes, folder, console)
    _converse(session, queries, folder, console)
    _finish(session, out, console, as_json=as_json)


def _check_queries(queries: list[str], boxes: list[tuple[float, ...]]) -> None:
    if not queries and not boxes:
        raise QueryError(
            "nothing is asked",
            expected="--query or --box, at least once",
            remedy="add e.g. -q 'Segment the liver.' or --box 120,80,210,165",
        )
    for number, text in enumerate(queries, start=1):
        if not text.strip():
            raise QueryError(
                f"the question of round {number} is empty",
                remedy="ask for a structure, e.g. -q 'Segment the liver.'",
            )


def _enclose(
    session: Session, boxes: list[tuple[float, ...]], folder: Path, console: Console
) -> None:
    """Bring in what the boxes enclose, and write it."""
    from mediround.session.results import write_results

    for each in boxes:
        show_entities(console, [session.add_box(each)])
        write_results(session, folder)


def _converse(session: Session, queries: list[str], folder: Path, console: Console) -> None:
    """Ask and write round by round, so that a failure keeps what was made before it."""
    from mediround.session.results import write_round

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
