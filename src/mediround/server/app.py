"""The application: routes, gate and page round the engine.

app = create_app(ServerSettings(data=Path("…")), lambda: mediround.load("nano"))
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from filelock import FileLock, Timeout
from starlette.middleware.gzip import GZipMiddleware

from mediround import __version__
from mediround.imaging.sandbox import Sandbox
from mediround.server import (
    page,
    refusals,
    routes_images,
    routes_server,
    routes_sessions,
    routes_space,
)
from mediround.server.database import StorageError, open_database
from mediround.server.engine import SessionEngine
from mediround.server.gate import Gate
from mediround.server.history import History
from mediround.server.metrics import Metrics
from mediround.server.services import Services
from mediround.server.settings import ServerSettings
from mediround.server.uploads import Uploads
from mediround.session.model import Model
from mediround.session.notice import NOTICE

logger = logging.getLogger(__name__)

LOCK = "server.lock"
_STOP_SECONDS = 60
_SMALLEST_GZIP = 1000


def create_app(settings: ServerSettings, load: Callable[[], Model]) -> FastAPI:
    """An application over the data of ``settings``; the model is loaded when it starts.

    Args:
        settings: what the operator decided.
        load: returns the model; called once, in the engine's thread.

    Raises:
        StorageError: when it starts: the data is in use by another server, or unusable; it is
            also in ``app.state.failure``.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = FileLock(settings.data / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            app.state.failure = StorageError(
                "another server uses this data folder", remedy="stop it, or pass --data-dir"
            )
            raise app.state.failure from None
        with lock:
            try:
                found = _services(settings, load, metrics)
            except StorageError as error:
                app.state.failure = error
                raise
            app.state.services = found
            found.engine.start()
            yield
            # Questions that wait are still answered: the process ends when nothing is lost.
            await anyio.to_thread.run_sync(found.engine.stop, _STOP_SECONDS)
            await anyio.to_thread.run_sync(found.sandbox.close)
            found.database.dispose()

    app = FastAPI(
        title="mediround",
        version=__version__,
        summary="Dialogues about medical images, with masks.",
        description=NOTICE,
        lifespan=lifespan,
        # The usual pages of documentation load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    refusals.install(app)
    for each in (routes_server, routes_images, routes_sessions, routes_space):
        app.include_router(each.router)
    page.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=_SMALLEST_GZIP, compresslevel=4)
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    return app


def _services(settings: ServerSettings, load: Callable[[], Model], metrics: Metrics) -> Services:
    database = open_database(settings.data, settings.database)
    sandbox = Sandbox(settings.uploads_at_once, settings.decoding)
    uploads = Uploads(database, settings.data / "images", sandbox=sandbox, most=settings.user_bytes)
    history = History(database)
    engine = SessionEngine(load, uploads, history, settings)
    engine.finished = metrics.work
    metrics.watch(engine)
    return Services(settings, database, sandbox, uploads, history, engine, metrics)
