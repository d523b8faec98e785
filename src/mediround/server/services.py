"""What the routes work with, and how they come by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from mediround.errors import InputError
from mediround.imaging import Modality
from mediround.imaging.sandbox import Sandbox
from mediround.server.engine import SessionEngine
from mediround.server.gate import USER
from mediround.server.history import History, Stored
from mediround.server.metrics import Metrics
from mediround.server.queue import Job
from mediround.server.settings import ServerSettings
from mediround.server.uploads import Uploads
from mediround.server.views import Refusal, SessionView


@dataclass(frozen=True)
class Services:
    """Everything behind the routes."""

    settings: ServerSettings
    database: Engine
    sandbox: Sandbox
    uploads: Uploads
    history: History
    engine: SessionEngine
    metrics: Metrics

    def view(self, stored: Stored) -> SessionView:
        """A session as it goes over the wire."""
        return SessionView.of(stored, busy=self.engine.queue.busy(stored.id))


def services(request: Request) -> Services:
    """Of the application that answers."""
    return cast(Services, request.app.state.services)


def caller(request: Request) -> str:
    """Who asks, as the gate found out."""
    return cast(str, request.scope[USER])


Here = Annotated[Services, Depends(services)]
Caller = Annotated[str, Depends(caller)]

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal} for status in (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
}
"""What every route may answer instead."""


async def done(job: Job) -> Any:
    """The result of a job; a caller that leaves does not take the job along."""
    return await asyncio.shield(asyncio.wrap_future(job.result))


def modality_of(word: str | None) -> Modality | None:
    """A modality as people write it.

    Raises:
        InputError: there is none of this name.
    """
    if word is None:
        return None
    try:
        return Modality(word.upper())
    except ValueError as error:
        raise InputError("an unknown modality", expected=f"one of {', '.join(Modality)}") from error
