"""Routes of images: upload, describe, look at; and the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mediround.imaging import Image
from mediround.server import rendering, samples
from mediround.server.history import ConflictError
from mediround.server.services import REFUSALS, Caller, Here, Services, modality_of
from mediround.server.views import Images, ImageView, PlaneName, Samples

router = APIRouter(prefix="/v1", tags=["images"], responses=REFUSALS)

PNG = "image/png"
_RAW = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Plane = Annotated[PlaneName | None, Query(description="default: as it was acquired")]
Index = Annotated[int | None, Query(ge=0, le=2**31, description="from 0; default the middle")]
_FARTHEST = 1e30  # well inside single precision


@router.post("/images", status_code=201, openapi_extra=_RAW)
async def upload(
    request: Request,
    here: Here,
    user: Caller,
    modality: Annotated[str | None, Query(max_length=20)] = None,
    series: Annotated[int | None, Query(ge=1, le=1000)] = None,
) -> ImageView:
    """Send one file as the body: PNG, JPEG, TIFF, NIfTI, DICOM, or a zip of a DICOM series.

    The content decides, not a name. It is decoded in a process of its own, under limits.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415)
    kind = modality_of(modality)
    with here.uploads.receiving() as (name, path):
        await _receive(request, path)
        kept = await run_in_threadpool(here.uploads.keep, name, user, modality=kind, series=series)
    return ImageView.of(kept)


async def _receive(request: Request, path: Path) -> None:
    with path.open("xb") as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)


@router.get("/images")
def images(here: Here, user: Caller) -> Images:
    """All images of the caller, the newest first."""
    return Images(images=[ImageView.of(each) for each in here.uploads.list(user)])


@router.get("/images/{image}")
def image(image: str, here: Here, user: Caller) -> ImageView:
    """One image."""
    return ImageView.of(here.uploads.get(image, user))


@router.delete("/images/{image}", status_code=204)
def delete_image(image: str, here: Here, user: Caller) -> None:
    """Delete an image that no session uses."""
    here.uploads.get(image, user)
    users = here.history.count(image)
    if users:
        raise ConflictError(f"{users} sessions are about this image", remedy="delete them first")
    here.uploads.delete(image, user)


@router.get(
    "/images/{image}/slice.png",
    response_class=Response,
    responses={200: {"content": {PNG: {}}}},
)
def slice_png(
    image: str,
    here: Here,
    user: Caller,
    plane: Plane = None,
    index: Index = None,
    center: Annotated[float | None, Query(ge=-_FARTHEST, le=_FARTHEST)] = None,
    width: Annotated[float | None, Query(gt=0, le=_FARTHEST)] = None,
    marks: bool = False,
    max_side: Annotated[int | None, Query(ge=16, le=4096)] = None,
) -> Response:
    """A slice as people look at it, 8 bits."""
    shown = _slice(here, user, image, plane, index)
    window = None if center is None or width is None else (center, width)
    data = rendering.picture(shown, window=window, marks=marks, longest=max_side)
    return Response(data, media_type=PNG, headers={"Cache-Control": "private, max-age=3600"})


@router.get(
    "/images/{image}/values",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def values(
    image: str, here: Here, user: Caller, plane: Plane = None, index: Index = None
) -> Response:
    """The stored values of a slice, little endian, row by row; X-Dtype and X-Shape tell how."""
    found = rendering.values(_slice(here, user, image, plane, index))
    headers = {
        "X-Dtype": found.dtype,
        "X-Shape": ",".join(str(side) for side in found.shape),
        "X-Window": f"{found.window[0]:g},{found.window[1]:g}",
        "Cache-Control": "private, max-age=3600",
    }
    return Response(found.data, media_type="application/octet-stream", headers=headers)


@router.get("/samples", tags=["samples"])
def list_samples() -> Samples:
    """Images that come with the program."""
    return Samples(samples=samples.all_samples())


@router.post("/samples/{name}", status_code=201, tags=["samples"])
def open_sample(name: str, here: Here, user: Caller) -> ImageView:
    """A sample as if it had been uploaded."""
    file = samples.file_of(name)
    with here.uploads.receiving() as (upload_id, path):
        path.write_bytes(file.read_bytes())
        return ImageView.of(here.uploads.keep(upload_id, user, modality=None, series=None))


def _slice(
    here: Services, user: str, image: str, plane: PlaneName | None, index: int | None
) -> Image:
    here.uploads.get(image, user)
    return rendering.choose(here.uploads.open(image), index, plane)
