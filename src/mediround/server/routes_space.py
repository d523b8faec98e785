"""Routes of volumes in three dimensions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from mediround.server import space
from mediround.server.services import REFUSALS, Caller, Here

router = APIRouter(prefix="/v1", tags=["images"], responses=REFUSALS)

Longest = Annotated[int, Query(ge=16, le=1024, description="most voxels along a side")]
_NIFTI = "application/x-nifti"


@router.get(
    "/images/{image}/volume.nii",
    response_class=FileResponse,
    responses={200: {"content": {_NIFTI: {"schema": {"type": "string", "format": "binary"}}}}},
)
def volume(image: str, here: Here, user: Caller, longest: Longest = space.LONGEST) -> FileResponse:
    """A volume as NIfTI; of a large one every second, third … voxel."""
    here.uploads.get(image, user)
    coarse = space.Coarse.of(here.uploads.open(image), longest)
    folder = Path(tempfile.mkdtemp(prefix="mediround-volume-"))
    tidy = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        path = folder / "volume.nii"
        space.write_volume(path, coarse)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    headers = {"Cache-Control": "private, max-age=3600"}
    return FileResponse(path, media_type=_NIFTI, headers=headers, background=tidy)


@router.get("/images/{image}/labels")
def labels(image: str, here: Here, user: Caller, longest: Longest = space.LONGEST) -> space.Labels:
    """The masks of all the caller's dialogues about a volume, on the grid of ``volume.nii``."""
    here.uploads.get(image, user)
    coarse = space.Coarse.of(here.uploads.open(image), longest)
    about = (each.id for each in here.history.list(user) if each.image == image)
    return space.labels(coarse, [here.history.get(each, user) for each in about])
