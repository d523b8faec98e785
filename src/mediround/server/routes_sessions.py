"""Routes of sessions: open, ask, correct, go back, export."""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response, StreamingResponse

from mediround.errors import InputError
from mediround.geometry import BoolMask
from mediround.server import rendering, sessions
from mediround.server.history import NotFoundError, Stored
from mediround.server.requests import (
    AskRequest,
    GivenRequest,
    MaskRequest,
    NameRequest,
    OpenRequest,
    ResumeRequest,
    TitleRequest,
)
from mediround.server.services import REFUSALS, Caller, Here, Services, done
from mediround.server.stream import AnswerStream
from mediround.server.views import (
    Answered,
    EntityView,
    SessionLine,
    Sessions,
    SessionView,
    TurnView,
    Version,
    Versions,
    entities_of,
)
from mediround.session.boxes import box_in_image
from mediround.session.query import resolve

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], responses=REFUSALS)

PNG, EVENTS = "image/png", "text/event-stream"
Number = Annotated[int, InPath(ge=1, le=100_000)]
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the answer; as events queued, started, text, entity, done, error where "
        "they are accepted",
        "content": {EVENTS: {"schema": {"type": "string"}}},
    }
}
_MASK_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": MaskRequest.model_json_schema()["$defs"]["Rle"]},
            PNG: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("", status_code=201)
def create(wanted: OpenRequest, here: Here, user: Caller) -> SessionView:
    """Open a session about an image, or about one slice of a volume."""
    return here.view(sessions.open_session(here, user, wanted))


@router.post("/resume", status_code=201)
def resume(wanted: ResumeRequest, here: Here, user: Caller) -> SessionView:
    """Go on with a session that was saved or exported."""
    return here.view(sessions.resume_session(here, user, wanted))


@router.get("")
def list_sessions(here: Here, user: Caller) -> Sessions:
    """All sessions of the caller, the last used first."""
    return Sessions(sessions=[SessionLine.of(each) for each in here.history.list(user)])


@router.get("/{session}")
def get(session: str, here: Here, user: Caller) -> SessionView:
    """One session in one piece."""
    return here.view(here.history.get(session, user))


@router.patch("/{session}")
def retitle(session: str, wanted: TitleRequest, here: Here, user: Caller) -> SessionView:
    """Give it another title."""
    return here.view(here.history.rename(session, user, wanted.title))


@router.delete("/{session}", status_code=204)
def delete(session: str, here: Here, user: Caller) -> None:
    """Delete it with its masks; what is asked in it is cancelled."""
    here.history.get(session, user)
    here.engine.queue.cancel(session)
    here.history.delete(session, user)


@router.get("/{session}/history")
def history(session: str, here: Here, user: Caller) -> Versions:
    """The steps that undo and redo go."""
    versions, now = here.history.versions(session, user)
    return Versions(
        versions=[Version(number=n, at=at, change=change) for n, at, change in versions], now=now
    )


@router.post("/{session}/ask", response_model=Answered, responses=_ANSWER)
async def ask(session: str, wanted: AskRequest, request: Request, here: Here, user: Caller) -> Any:
    """Ask; with ``Accept: text/event-stream`` the answer comes as it is spoken."""
    stored = await run_in_threadpool(here.history.get, session, user)
    if not here.engine.queue.busy(session):
        # What can be refused is refused before a stream begins; the engine checks again.
        resolve(wanted.query, stored.dialogue)

    def finish(result: tuple[Stored, int]) -> Answered:
        kept, index = result
        return Answered(turn=TurnView.of(kept.dialogue, index), session=here.view(kept))

    if EVENTS not in request.headers.get("accept", ""):
        return finish(await done(here.engine.ask(stored, wanted.query)))
    stream = AnswerStream(here.engine.queue, finish)
    job = here.engine.ask(stored, wanted.query, stream.heard, stream.started)
    # Proxies would otherwise collect an answer before they hand it on.
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(stream.events(job), media_type=EVENTS, headers=headers)


@router.delete("/{session}/ask", status_code=202)
def cancel(session: str, here: Here, user: Caller) -> dict[str, int]:
    """Cancel what is asked or waits in this session."""
    here.history.get(session, user)
    return {"cancelled": here.engine.queue.cancel(session)}


@router.post("/{session}/undo")
async def undo(session: str, here: Here, user: Caller) -> SessionView:
    """Take back the last change."""
    stored = await run_in_threadpool(here.history.get, session, user)
    return here.view(await done(here.engine.step(stored, -1)))


@router.post("/{session}/redo")
async def redo(session: str, here: Here, user: Caller) -> SessionView:
    """Bring back what was undone."""
    stored = await run_in_threadpool(here.history.get, session, user)
    return here.view(await done(here.engine.step(stored, 1)))


@router.post("/{session}/entities", status_code=201)
async def give(session: str, wanted: GivenRequest, here: Here, user: Caller) -> SessionView:
    """Bring in a mask without a question: one drawn, a box's rectangle, or the structure in it."""
    stored = await run_in_threadpool(here.history.get, session, user)
    _check_one(wanted)
    if wanted.box is not None:
        # A bad box is refused before it waits in the queue.
        box = box_in_image(wanted.box, _size(stored)).corners
        return here.view(await done(here.engine.add_box(stored, box, wanted.name, wanted.fit)))
    mask = await run_in_threadpool(_given, here, wanted, stored)
    return here.view(await done(here.engine.add(stored, mask, wanted.name)))


@router.get("/{session}/entities/{number}")
def entity(session: str, number: Number, here: Here, user: Caller) -> EntityView:
    """One entity."""
    return _entity(here, session, user, number)


@router.get(
    "/{session}/entities/{number}/mask.png",
    response_class=Response,
    responses={200: {"content": {PNG: {}}}},
)
def mask_png(session: str, number: Number, here: Here, user: Caller) -> Response:
    """Its mask, 0 and 255."""
    found = _entity(here, session, user, number)
    if found.mask is None:
        raise NotFoundError(f"[{number}] has no mask")
    return Response(rendering.mask_png(found.mask.decode()), media_type=PNG)


@router.patch("/{session}/entities/{number}")
async def rename(
    session: str, number: Number, wanted: NameRequest, here: Here, user: Caller
) -> SessionView:
    """Give it another name, or none."""
    stored = await run_in_threadpool(here.history.get, session, user)
    _of(stored, number)
    return here.view(await done(here.engine.rename(stored, number, wanted.name)))


@router.put("/{session}/entities/{number}/mask", openapi_extra=_MASK_BODY)
async def replace(
    session: str, number: Number, request: Request, here: Here, user: Caller
) -> SessionView:
    """Correct its mask by hand; later rounds see the correction."""
    stored = await run_in_threadpool(here.history.get, session, user)
    _of(stored, number)
    data = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    mask = await run_in_threadpool(_sent, here, kind, data, stored)
    return here.view(await done(here.engine.replace(stored, number, mask)))


@router.delete("/{session}/entities/{number}")
async def remove(session: str, number: Number, here: Here, user: Caller) -> SessionView:
    """Take its mask away; its number stays taken."""
    stored = await run_in_threadpool(here.history.get, session, user)
    _of(stored, number)
    return here.view(await done(here.engine.remove(stored, number)))


@router.get("/{session}/export", response_class=FileResponse)
def export(
    session: str,
    here: Here,
    user: Caller,
    to: Annotated[str, Query(max_length=20)] = sessions.SESSION_FORMAT,
    drop: Annotated[bool, Query(description="leave out what `official` cannot say")] = False,
) -> FileResponse:
    """The session or its masks as a file; several files come as one zip."""
    stored = here.history.get(session, user)
    folder = Path(tempfile.mkdtemp(prefix="mediround-export-"))
    tidy = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        path = sessions.export_session(here, stored, to, folder, drop=drop)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    kind = "application/octet-stream"
    return FileResponse(path, filename=path.name, media_type=kind, background=tidy)


def _of(stored: Stored, number: int) -> EntityView:
    for found in entities_of(stored.dialogue):
        if found.id == number:
            return found
    raise NotFoundError(f"there is no entity [{number}]")


def _entity(here: Services, session: str, user: str, number: int) -> EntityView:
    return _of(here.history.get(session, user), number)


def _sent(here: Services, kind: str, data: bytes, stored: Stored) -> BoolMask:
    if kind == PNG:
        return sessions.decode_picture(here, data, stored)
    if kind != "application/json":
        raise HTTPException(415)
    try:
        wanted = MaskRequest.model_validate_json(data)
    except ValidationError as error:
        raise InputError("a body that is no mask", expected='{"mask": {"size", "counts"}}') from (
            error
        )
    return sessions.decode_code(wanted.mask, stored)


def _check_one(wanted: GivenRequest) -> None:
    if sum(each is not None for each in (wanted.mask, wanted.png, wanted.box)) != 1:
        raise InputError("not exactly one of mask, png and box", expected="one of them")
    if wanted.box is None and wanted.fit == "structure":
        raise InputError("fit is structure without a box", expected="a box to find it in")


def _size(stored: Stored) -> tuple[int, int]:
    height, width = stored.place["size"]
    return int(height), int(width)


def _given(here: Services, wanted: GivenRequest, stored: Stored) -> BoolMask:
    if wanted.mask is not None:
        return sessions.decode_code(wanted.mask, stored)
    assert wanted.png is not None
    try:
        sent = base64.b64decode(wanted.png, validate=True)
    except ValueError as error:  # signs beyond ASCII raise another class than wrong ones
        raise InputError("png is not base64") from error
    return sessions.decode_picture(here, sent, stored)
