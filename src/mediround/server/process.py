"""One server process: socket, uvicorn, and an end that loses nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from mediround.errors import InputError, MediRoundError
from mediround.server.app import create_app
from mediround.server.settings import ServerSettings
from mediround.session.model import Model

_GRACE_SECONDS = 30
_BACKLOG = 2048


def serve(
    settings: ServerSettings, load: Callable[[], Model], announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; answers that are being given are finished.

    Args:
        settings: see the class.
        load: returns the model; a failure ends the server.
        announce: called with the address once connections are taken.

    Raises:
        InputError: the address cannot be used.
        StorageError: the data folder or database cannot be used.
        MediRoundError: the model cannot be loaded.
    """
    failures: list[BaseException] = []

    def loading() -> Model:
        try:
            return load()
        except BaseException as error:
            failures.append(error)
            server.should_exit = True
            raise

    app = create_app(settings, loading)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        announce(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        server.run(sockets=[listener])
    failure = getattr(app.state, "failure", None) or next(iter(failures), None)
    if isinstance(failure, MediRoundError):
        raise failure
    if failure is not None:
        raise MediRoundError(f"the model could not be loaded ({type(failure).__name__})")


def _listening(settings: ServerSettings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host} port {port} ({error.strerror})",
            remedy="choose another --port, or --port 0 for any free one",
        ) from error
    return listener
