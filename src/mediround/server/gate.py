"""Who may come in, how often and with how much; and the headers that every answer carries."""

from __future__ import annotations

import asyncio
import math
import time
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediround.server.metrics import Metrics
from mediround.server.rates import Buckets
from mediround.server.refusals import body
from mediround.server.settings import LOCAL_USER, ServerSettings, is_loopback

USER = "mediround.user"
UPLOADS = "/v1/images"
_GUARDED = ("/v1", "/metrics", "/openapi.json")
_SAFE = ("GET", "HEAD", "OPTIONS")
_BODY_PAUSE_SECONDS = 30
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class Gate:
    """ASGI middleware round everything else.

    Without tokens the server is for this machine alone: requests that a web page elsewhere sends
    through somebody's browser are told by their Host and Origin.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        rates = settings.rates
        self._work = Buckets(rates.work, rates.work_burst)
        self._reading = Buckets(rates.reading, rates.reading_burst)
        self._strangers = Buckets(rates.strangers, rates.strangers_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            refusal = self._refusal(scope, Headers(scope=scope))
            if refusal is not None:
                await refusal(scope, receive, answering)
            else:
                await self._app(scope, self._limited(scope, receive), answering)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, scope["method"], status, time.perf_counter() - began)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        path, method = scope["path"], scope["method"]
        if not self._settings.tokens and not is_loopback(_hostname(headers.get("host", ""))):
            return _refused(403, "this server is for this machine alone", "a loopback address")
        origin = headers.get("origin")
        if origin is not None and method not in _SAFE:
            same = urlsplit(origin).netloc == headers.get("host", "")
            if not same:
                return _refused(403, "a request of another web page", "one of this server's page")
        user = self._user(headers)
        if user is None and path.startswith(_GUARDED):
            wait = self._strangers.take(_address(scope))
            if wait:
                return _slower(wait)
            response = _refused(401, "no valid token", "Authorization: Bearer TOKEN")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        scope[USER] = user
        if path.startswith("/v1"):
            works = method not in _SAFE or path.endswith("/export")
            wait = (self._work if works else self._reading).take(user or _address(scope))
            if wait:
                return _slower(wait)
        return self._too_large(scope, headers)

    def _user(self, headers: Headers) -> str | None:
        if not self._settings.tokens:
            return LOCAL_USER
        scheme, _, token = headers.get("authorization", "").partition(" ")
        known = self._settings.user_of(token.strip())
        return known if scheme.lower() == "bearer" else None

    def _most(self, scope: Scope) -> int:
        uploading = scope["path"] == UPLOADS and scope["method"] == "POST"
        return self._settings.upload_bytes if uploading else self._settings.mask_bytes

    def _too_large(self, scope: Scope, headers: Headers) -> Response | None:
        announced, most = headers.get("content-length"), self._most(scope)
        if announced is None or (announced.isdigit() and int(announced) <= most):
            return None
        return _refused(413, "the request is too large", f"at most {most:,} bytes")

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Counts what really comes, and does not wait for ever between its parts."""
        most, got, complete = self._most(scope), 0, False

        async def limited() -> Message:
            nonlocal got, complete
            if complete:
                return await receive()  # waits for the end of the connection
            try:
                message = await asyncio.wait_for(receive(), _BODY_PAUSE_SECONDS)
            except TimeoutError:
                raise HTTPException(408) from None
            got += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if got > most:
                raise HTTPException(413)
            return message

        return limited


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return f"address {client[0]}" if client else "address unknown"


def _refused(status: int, found: str, expected: str) -> JSONResponse:
    kind = "AuthenticationError" if status == 401 else "RequestError"
    return JSONResponse(body(kind, found, expected), status)


def _slower(wait: float) -> JSONResponse:
    seconds = max(1, math.ceil(wait))
    answer = body("BusyError", "too many requests", remedy=f"try again in {seconds} s")
    return JSONResponse(answer, 429, headers={"Retry-After": str(seconds)})
