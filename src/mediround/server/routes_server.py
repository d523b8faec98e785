"""Routes about the server itself."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from mediround import __version__
from mediround.imaging.image import MAX_PIXELS
from mediround.imaging.overlay import PALETTE
from mediround.imaging.volume import MAX_VOXELS
from mediround.server.metrics import CONTENT_TYPE
from mediround.server.refusals import body
from mediround.server.services import REFUSALS, Caller, Here
from mediround.server.sessions import SESSION_FORMAT
from mediround.server.views import Info, Limits, ModelView
from mediround.session.boxes import fits_of
from mediround.session.export import FORMATS
from mediround.session.notice import NOTICE
from mediround.session.query import LONGEST

router = APIRouter(tags=["server"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "the model is not there (yet)"}})
def readyz(here: Here) -> Response:
    """The model is loaded; before that, questions wait."""
    engine = here.engine
    if engine.failure is not None:
        return JSONResponse(body("UnavailableError", "the model could not be loaded"), 503)
    if engine.model is None:
        loading = body("UnavailableError", "the model is being loaded", remedy="wait a little")
        return JSONResponse(loading, 503, headers={"Retry-After": "2"})
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response, responses=REFUSALS)
def metrics(here: Here) -> Response:
    """Prometheus' text format."""
    return Response(here.metrics.text(), media_type=CONTENT_TYPE)


@router.get("/v1/info", responses=REFUSALS)
def info(here: Here, user: Caller) -> Info:
    """Version, model, limits."""
    model, settings = here.engine.model, here.settings
    return Info(
        version=__version__,
        model=None
        if model is None
        else ModelView(name=model.name, weights_sha256=model.weights_sha256),
        box_fits=None if model is None else list(fits_of(takes_boxes=model.takes_boxes)),
        notice=NOTICE,
        auth=bool(settings.tokens),
        user=user,
        limits=Limits(
            upload_bytes=settings.upload_bytes,
            mask_bytes=settings.mask_bytes,
            query_characters=LONGEST,
            pixels=MAX_PIXELS,
            voxels=MAX_VOXELS,
        ),
        exports=[SESSION_FORMAT, *FORMATS],
        palette=list(PALETTE),
    )
