"""What a server refuses, as the errors that the same refusal raises here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from mediround import errors
from mediround.errors import MediRoundError


class ServerError(MediRoundError):
    """The server does not answer, refuses this caller, or is busy."""


def away(error: httpx2.HTTPError) -> ServerError:
    """Of a connection that failed."""
    return ServerError(
        f"the server does not answer ({type(error).__name__})",
        remedy="check its address, and that it runs",
    )


def refusal(answer: httpx2.Response) -> MediRoundError:
    """Of an answer that is an error."""
    try:
        return error_of(answer.json())
    except ValueError:
        return ServerError(f"the server answers with status {answer.status_code}")


def error_of(body: Mapping[str, Any]) -> MediRoundError:
    """Of the JSON of a refusal."""
    kind = getattr(errors, str(body.get("type")), ServerError)
    if not (isinstance(kind, type) and issubclass(kind, MediRoundError)):
        kind = ServerError
    found, expected, remedy = (str(body.get(key, "")) for key in ("found", "expected", "remedy"))
    return kind(found, expected=expected, remedy=remedy)
