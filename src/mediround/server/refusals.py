"""Errors as answers: one body for all, without paths, names or tracebacks."""

from __future__ import annotations

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from mediround.errors import InputError, MediRoundError
from mediround.server.database import StorageError
from mediround.server.engine import UnavailableError
from mediround.server.history import ConflictError, NotFoundError
from mediround.server.queue import BusyError, CancelledError

logger = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[MediRoundError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (CancelledError, 409),
    (BusyError, 429),
    (UnavailableError, 503),
    (StorageError, 503),
    (InputError, 400),
)
_WORDS = {
    401: "no valid token",
    403: "not allowed from there",
    404: "there is nothing at this address",
    405: "this address does not do that",
    413: "the request is too large",
    415: "a body of this type is not understood",
}


class TooLargeError(MediRoundError):
    """A body has more bytes than this server takes."""


def body(type_: str, found: str, expected: str = "", remedy: str = "") -> dict[str, str]:
    """The JSON of a refusal."""
    return {"type": type_, "found": found, "expected": expected, "remedy": remedy}


def told(error: BaseException) -> dict[str, str]:
    """What may be said of an error; nothing of one that was not foreseen."""
    if isinstance(error, MediRoundError):
        name = type(error).__name__
        return body(_plain(name), error.found, error.expected, error.remedy)
    logger.error("unexpected %s", type(error).__name__, exc_info=error)
    return body("InternalError", "something went wrong in the server", remedy="tell the operator")


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    if isinstance(error, TooLargeError):
        return 413
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in one way."""

    @app.exception_handler(MediRoundError)
    async def _refused(_request: Request, error: MediRoundError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def _misshapen(_request: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = dict(error.errors()[0])
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(body("RequestError", f"{where}: {first['msg']}"), 422)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        found = _WORDS.get(error.status_code, "the request cannot be understood")
        return JSONResponse(
            body("RequestError", found), error.status_code, headers=dict(error.headers or {})
        )

    @app.exception_handler(Exception)
    async def _unforeseen(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(told(error), 500)


def answer(error: MediRoundError) -> JSONResponse:
    """One error as a response."""
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    elif status_of(error) == 503:
        headers["Retry-After"] = "5"
    return JSONResponse(told(error), status_of(error), headers=headers)


def _plain(name: str) -> str:
    """``CancelledError`` is said "Cancelled" on the wire; the rest as it is called here."""
    return "Cancelled" if name == "CancelledError" else name
