"""The web page: files beside this one, the same for everybody."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).with_name("static")
_YEAR = "public, max-age=31536000, immutable"


class _Assets(StaticFiles):
    """Files whose names change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = _YEAR
        return response


def install(app: FastAPI, folder: Path = FOLDER) -> None:
    """Serve the page at ``/``, where it has been built."""
    if not (folder / "index.html").is_file():
        return
    if (folder / "assets").is_dir():
        app.mount("/assets", _Assets(directory=folder / "assets"), name="assets")
    for file in sorted(folder.iterdir()):
        if file.is_file():
            _serve(app, "/" if file.name == "index.html" else f"/{file.name}", file)


def _serve(app: FastAPI, address: str, file: Path) -> None:
    def page() -> FileResponse:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    app.add_api_route(address, page, methods=["GET", "HEAD"], include_in_schema=False)
