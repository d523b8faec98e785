"""``mediround chat``: a dialogue about one image in a terminal."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from mediround.cli.opening import (
    ImagePath,
    LowBit,
    LowBits,
    ModalityName,
    ModelName,
    PlaneName,
    SliceIndex,
    check_image,
    corners_of,
    open_session,
)
from mediround.cli.progress import moving_line
from mediround.cli.transcript import show_answer, show_entities, show_start, show_turn
from mediround.errors import InputError, MediRoundError

if TYPE_CHECKING:
    from mediround.session import Session

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

HELP = """\
Ask for a structure; [n] is mask number n: "the counterpart of [1]".
  /box X0,Y0,X1,Y1      find the structure in a box, in pixels
  /undo         take back the last change        /redo   bring it back
  /masks        list the masks
  /save FILE    write the session; --resume FILE takes it up again
  /export DIR   write masks, pictures and the session
  /export FORMAT PATH   dicom-seg, nifti, coco, png, stl, dialogue, official
  /help         this text                        /quit   end (also Ctrl-D)"""


@app.command(epilog="Example: mediround chat ct.dcm --out case-1")
def chat(
    image: ImagePath,
    model: ModelName = "nano",
    slice_: SliceIndex = None,
    plane: PlaneName = None,
    modality: ModalityName = None,
    low_bit: LowBits = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Keep session and picture here, always."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="A session that was saved.")
    ] = None,
) -> None:
    """Talk about an image in the terminal; /help lists what else there is.

    Research use only, not a medical device.
    """
    check_image(image)
    from mediround.imaging import ensure_folder

    if out is not None:
        ensure_folder(out)
    if resume is None:
        session = open_session(
            image, model, slice_=slice_, plane=plane, modality=modality, low_bit=low_bit
        )
    else:
        session = _resumed(resume, image, model, low_bit)
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mediround-")))
        Chat(session, Console(highlight=False), folder, kept=out is not None).run()


class Chat:
    """The loop; ``folder`` gets the picture after every change, and the session if ``kept``."""

    def __init__(self, session: Session, console: Console, folder: Path, *, kept: bool) -> None:
        self.session, self.console, self.folder, self.kept = session, console, folder, kept
        self._safe = session.dialogue

    def run(self) -> None:
        """Until /quit, end of input or Ctrl-C; errors are told and change nothing."""
        from mediround.session.results import NOTICE

        with suppress(ImportError):
            import readline  # noqa: F401 - arrow keys and history come with the import
        show_start(self.console, self.session)
        self.console.print(f"{NOTICE} /help lists commands.", style="yellow")
        for number, turn in enumerate(self.session.turns, start=1):
            show_turn(self.console, number, turn)
        with suppress(EOFError, KeyboardInterrupt):
            while True:
                line = self.console.input("\n[bold]>[/bold] ").strip()
                if line in ("/quit", "/exit"):
                    break
                try:
                    self._do(line)
                except MediRoundError as error:
                    self.console.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        self._leave()

    def _do(self, line: str) -> None:
        if not line:
            return
        if not line.startswith("/"):
            with moving_line("thinking …"):
                turn = self.session.ask(line)
            show_answer(self.console, turn)
            self._refresh()
            return
        word, argument = _command(line, most=2 if line.startswith("/export") else 1)
        match word, argument:
            case "/help", None:
                self.console.print(HELP, markup=False)
            case "/box", str(corners):
                with moving_line("looking into the box …"):
                    found = self.session.add_box(corners_of(corners))
                show_entities(self.console, [found])
                self._refresh()
            case "/masks", None:
                if not self.session.entities:
                    self.console.print("no masks yet")
                show_entities(self.console, self.session.entities.values())
            case "/undo", None:
                self._step("undone" if self.session.undo() else "nothing to undo")
            case "/redo", None:
                self._step("done again" if self.session.redo() else "nothing to redo")
            case "/save", str(file):
                self.session.save(Path(file))
                self._safe = self.session.dialogue
                self._say(f"saved as {file}")
            case "/export", str(folder):
                self._export(Path(folder))
            case "/export", (str(to), str(path)):
                for written in self.session.export(to, path):
                    self._say(f"exported {written}")
            case _:
                raise InputError(f"cannot do {line!r}", expected="a command that /help lists")

    def _step(self, what: str) -> None:
        rounds = len(self.session.turns)
        self._say(f"{what}; {rounds} round{'' if rounds == 1 else 's'}")
        self._refresh()

    def _export(self, folder: Path) -> None:
        from mediround.session.results import prepare_folder, write_results

        write_results(self.session, prepare_folder(folder))
        self._safe = self.session.dialogue
        self._say(f"exported to {folder}")

    def _refresh(self) -> None:
        from mediround.imaging.overlay import write_picture
        from mediround.session.results import OVERVIEW, SESSION, picture

        if self.kept:
            self.session.save(self.folder / SESSION)
            self._safe = self.session.dialogue
        write_picture(self.folder / OVERVIEW, picture(self.session))
        self._say(f"   {self.folder / OVERVIEW}")

    def _leave(self) -> None:
        self.console.print()
        if self.kept:
            self._say(f"The session is in {self.folder}.")
        elif self.session.dialogue is not self._safe:
            self._say("This dialogue was not saved; /save FILE, or --out DIR from the start, does.")

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


def _command(line: str, *, most: int) -> tuple[str, str | tuple[str, ...] | None]:
    """The command of a line and its argument, or arguments; they may stand in quotes."""
    try:
        word, *arguments = shlex.split(line)
    except ValueError as error:
        raise InputError(f"{line!r} has an open quotation mark") from error
    if len(arguments) > most:
        raise InputError(
            f"{len(arguments)} words behind {word}",
            expected="one" if most == 1 else f"at most {most}",
            remedy="put a name with spaces in quotation marks",
        )
    if len(arguments) > 1:
        return word, tuple(arguments)
    return word, arguments[0] if arguments else None


def _resumed(file: Path, image: str, model: str, low_bit: LowBit | None) -> Session:
    with moving_line("starting …") as progress:
        from mediround.session import load
        from mediround.session.store import SessionFile

        SessionFile.read(file)
        progress(f"loading {model} …")
        return load(model, low_bit=low_bit).resume(file, image=Path(image).absolute())
