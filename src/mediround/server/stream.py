"""An answer as server-sent events: place in the queue, words, masks, the whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from mediround.server.queue import FairQueue, Job
from mediround.server.refusals import told
from mediround.server.views import Answered

_LOOK_SECONDS, _PING_SECONDS = 0.5, 10.0

Event = tuple[str, dict[str, Any]]


class AnswerStream:
    """The events of one question; what the engine's thread says is handed to the event loop.

    Args:
        queue: where the job waits.
        finish: turns the job's result into the answer.
    """

    def __init__(self, queue: FairQueue, finish: Callable[[Any], Answered]) -> None:
        self._queue, self._finish = queue, finish
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def started(self) -> None:
        """For the job: its turn has come."""
        self._say("started", {})

    def heard(self, text: str) -> None:
        """For the job: the answer so far."""
        self._say("text", {"text": text})

    async def events(self, job: Job) -> AsyncIterator[bytes]:
        """Until the answer is there; ending it early cancels the question."""
        job.result.add_done_callback(lambda _: self._put(None))
        position, pinged = None, time.monotonic()
        try:
            while True:
                now = self._queue.position(job)
                if now is not None and now != position:
                    position = now
                    yield _sse("queued", {"position": now})
                try:
                    event = await asyncio.wait_for(self._events.get(), _LOOK_SECONDS)
                except TimeoutError:
                    if time.monotonic() - pinged > _PING_SECONDS:
                        pinged = time.monotonic()
                        yield b": ping\n\n"
                    continue
                if event is None:
                    break
                yield _sse(*event)
            async for last in self._last(job):
                yield last
        finally:
            job.cancel()

    async def _last(self, job: Job) -> AsyncIterator[bytes]:
        error = job.result.exception()
        if error is not None:
            yield _sse("error", told(error))
            return
        answered = await asyncio.to_thread(self._finish, job.result.result())
        for entity in answered.turn.entities:
            yield _sse("entity", entity.model_dump(mode="json"))
        yield _sse("done", answered.model_dump(mode="json"))

    def _say(self, name: str, data: dict[str, Any]) -> None:
        self._put((name, data))

    def _put(self, event: Event | None) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)


def _sse(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
