"""The web page on one saved session: the command that shows it, and what that command does."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import typer

from mediround.errors import MediRoundError, SessionFileError

_READY_SECONDS = 300.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not listened on


def command(session: Path, model: str) -> str:
    """What to type to open the page on ``session``; the program as it was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        program = [sys.executable, "-m", "mediround"]
    elif shutil.which(called.name) == str(called):
        program = [called.name]
    else:
        program = [str(called)]
    return shlex.join([*program, "serve", "--model", model, "--open", str(session)])


def check_session(path: Path) -> None:
    """Refuse what is no saved session, or has no image, before anything slow is loaded.

    Raises:
        SessionFileError: so it is.
    """
    from mediround.session.store import SessionFile

    image = SessionFile.read(path).image
    if image is None or not Path(image).exists():
        raise SessionFileError(
            f"the image of {path.name} is not where it was",
            expected="a session with its image",
            remedy="put the image back, or upload it on the page and resume the session there",
        )


def open_page(session: Path, address: str, token: str | None, made: str | None) -> None:
    """Bring ``session`` into the server once it answers, then show it; returns at once.

    Args:
        session: what ``check_session`` let pass.
        address: where the server listens or will listen, with a slash at its end.
        token: of whom the session will belong to.
        made: a token that the page needs to be told.
    """

    def work() -> None:
        from mediround.client import Client

        try:
            with Client(_reachable(address), token, timeout=_READY_SECONDS) as client:
                opened = client.resume(session)
        except MediRoundError as error:
            typer.echo(f"error: {session.name} cannot be opened: {error}", err=True)
            return
        said = "&".join(([f"token={made}"] if made else []) + [f"s={opened.id}"])
        typer.echo(f"{address}#{said}")
        if _has_a_screen():
            webbrowser.open(f"{address}#{said}")

    threading.Thread(target=work, name="opening", daemon=True).start()


def _reachable(address: str) -> str:
    parts = urlsplit(address)
    host = _ANYWHERE.get(parts.hostname or "", "")
    return f"http://{host}:{parts.port}/" if host else address


def _has_a_screen() -> bool:
    """Elsewhere a browser of text would take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
