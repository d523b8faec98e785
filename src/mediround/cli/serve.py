"""``mediround serve``: the web page and the HTTP API."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediround.cli.opening import LowBits, ModelName
from mediround.cli.page import check_session, open_page
from mediround.errors import InputError

if TYPE_CHECKING:
    from mediround.server.settings import ServerSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

AUTO = "auto"


@app.command(epilog="Example: mediround serve --data-dir sessions --token auto")
def serve(
    model: ModelName = "nano",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8000,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Uploads and sessions; default per user."),
    ] = None,
    token: Annotated[
        list[str] | None,
        typer.Option(
            "--token",
            metavar="[USER:]TOKEN",
            envvar="MEDIROUND_TOKEN",
            help="Who may come in; repeat for more users. 'auto' makes one and prints it.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="One [USER:]TOKEN a line."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="SQLAlchemy URL; default SQLite."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")] = "auto",
    low_bit: LowBits = None,
    at_once: Annotated[
        int,
        typer.Option(
            "--at-once",
            min=1,
            max=64,
            help="Questions answered at the same time.",
        ),
    ] = 4,
    live_sessions: Annotated[
        int, typer.Option("--live-sessions", min=1, help="Most sessions in memory.")
    ] = 64,
    together: Annotated[
        int,
        typer.Option(
            "--together",
            min=0,
            max=64,
            help="Images, and masks, of several questions computed as one; 0: by the device.",
        ),
    ] = 0,
    work_rate: Annotated[
        float,
        typer.Option("--work-rate", min=0.1, help="Questions and changes a second, of one user."),
    ] = 5.0,
    upload_mb: Annotated[
        int, typer.Option("--upload-mb", min=1, help="Largest upload, in MiB.")
    ] = 1024,
    open_session: Annotated[
        Path | None,
        typer.Option(
            "--open", metavar="SESSION", help="Bring in a saved session, and open the page on it."
        ),
    ] = None,
    check_audit: Annotated[
        bool, typer.Option("--check-audit", help="Verify the audit trail of the data, and end.")
    ] = False,
) -> None:
    """Serve the web page and the HTTP API; sessions survive whatever happens to the process.

    Without a token it answers this machine alone. Research use only, not a medical device.
    """
    from mediround.server.settings import Rates, ServerSettings, parse_tokens

    words = list(token or []) + _lines(token_file)
    made = secrets.token_urlsafe(24) if AUTO in words else None
    settings = ServerSettings(
        data=data_dir or _default_folder(),
        database=database,
        host=host,
        port=port,
        tokens=parse_tokens([made if word == AUTO and made else word for word in words]),
        at_once=at_once,
        together=together,
        rates=Rates(work=work_rate, work_burst=max(40, int(8 * work_rate))),
        live_sessions=live_sessions,
        upload_bytes=upload_mb * 2**20,
    )
    if check_audit:
        _check(settings)
        return
    if open_session is not None:
        check_session(open_session)
    from mediround.server.process import serve as run
    from mediround.session import load
    from mediround.session.notice import NOTICE

    def announce(address: str) -> None:
        if open_session is None:
            typer.echo(f"{address}#token={made}" if made else address)
        else:
            secrets_known = [made if word == AUTO else word.rpartition(":")[2] for word in words]
            open_page(open_session, address, next(iter(secrets_known), None), made)
        typer.echo(f"Sessions are kept in {settings.data}. {NOTICE}")

    run(settings, lambda: load(model, device=device, low_bit=low_bit), announce)


def _check(settings: ServerSettings) -> None:
    from mediround.server import audit
    from mediround.server.database import open_database

    count = audit.verify(open_database(settings.data, settings.database))
    typer.echo(f"The audit trail is whole: {count} events.")


def _default_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("mediround", appauthor=False) / "server"


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the token file {str(path)!r} cannot be read") from error
    return [line for line in lines if line and not line.startswith("#")]
