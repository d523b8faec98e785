"""The connection: uploads, requests, events."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import numpy as np
from numpy.typing import NDArray

from mediround import errors
from mediround.client.refusals import away, refusal
from mediround.client.session import RemoteSession
from mediround.errors import ImageFileError

_SECONDS = 600.0
_EVENTS = "text/event-stream"


class Client:
    """A connection to a server; use it in ``with``, or close it.

    Args:
        address: such as ``http://127.0.0.1:8000``.
        token: what the server's operator gave out; None where it asks for none.
        timeout: seconds to wait for an answer.
    """

    def __init__(
        self, address: str, token: str | None = None, *, timeout: float = _SECONDS
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=address, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection."""
        self._http.close()

    def open(
        self,
        image: str | Path | NDArray[np.generic],
        *,
        slice: int | None = None,  # noqa: A002  # the word users know
        plane: str | None = None,
        modality: str | None = None,
        title: str | None = None,
    ) -> RemoteSession:
        """Upload an image and start a session; see ``mediround.session.Model.open``.

        Args:
            image: a file, the folder of a DICOM series, or an array that a PNG can hold.
            slice: of a volume, 0-based; the middle one by default.
            plane: "axial", "coronal" or "sagittal".
            modality: "CT", "MR", "US"…
            title: in lists of sessions; not told to the model.

        Raises:
            InputError: the image cannot be read, or there is no such slice or modality.
            ServerError: the server does not answer.
        """
        wanted = {"slice": slice, "plane": plane, "modality": modality, "title": title}
        return self.open_uploaded(self.upload(image, modality=modality), **wanted)

    def open_uploaded(self, image: str, **wanted: Any) -> RemoteSession:
        """Start another session about an upload; ``wanted`` as in :meth:`open`."""
        return RemoteSession(self, self.call("POST", "/v1/sessions", {"image": image, **wanted}))

    def upload(
        self, image: str | Path | NDArray[np.generic], *, modality: str | None = None
    ) -> str:
        """Send an image; its id."""
        query = {} if modality is None else {"modality": modality}
        with _body(image) as content:
            found = self._request("POST", "/v1/images", params=query, content=content)
        return str(found.json()["id"])

    def resume(self, session: str | Path, *, image: str | Path | None = None) -> RemoteSession:
        """Take up a session: by its id, or from a saved file with its image.

        Raises:
            SessionFileError: the file is no session, or is about another image.
        """
        if image is None and not Path(session).is_file():
            return RemoteSession(self, self.call("GET", f"/v1/sessions/{session}"))
        try:
            saved = json.loads(Path(session).read_bytes())
        except (OSError, ValueError) as error:
            raise errors.SessionFileError(f"{Path(session).name} cannot be read") from error
        where = image or saved.get("image")
        if where is None:
            raise errors.SessionFileError(
                f"{Path(session).name} does not say where its image is",
                remedy="pass it: client.resume(path, image=…)",
            )
        wanted = {"file": saved, "image": self.upload(where)}
        return RemoteSession(self, self.call("POST", "/v1/sessions/resume", wanted))

    def sessions(self) -> list[dict[str, Any]]:
        """All sessions of this user, the last used first."""
        found: list[dict[str, Any]] = self.call("GET", "/v1/sessions")["sessions"]
        return found

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request with JSON in and out; None for an empty answer."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        answer = self._request(method, path, content=content, headers=headers)
        return answer.json() if answer.content else None

    def fetch(self, path: str) -> bytes:
        """A file."""
        return self._request("GET", path).content

    def events(self, path: str, body: object) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the server says while it works: name and content of each event."""
        headers = {"Accept": _EVENTS, "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        try:
            with self._http.stream("POST", path, content=content, headers=headers) as answer:
                if answer.is_error:
                    answer.read()
                    raise refusal(answer)
                name = ""
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        yield name, json.loads(line[6:])
        except httpx2.HTTPError as error:
            raise away(error) from error

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise away(error) from error
        if answer.is_error:
            raise refusal(answer)
        return answer


@contextmanager
def _body(image: str | Path | NDArray[np.generic]) -> Iterator[Any]:
    """The body of an upload, a folder as a zip without compression."""
    if isinstance(image, np.ndarray):
        from mediround.imaging.png import encode_png

        yield encode_png(image)
        return
    path = Path(image)
    if not path.exists():
        raise ImageFileError(f"no file {str(image)!r}", remedy="check the path")
    if path.is_file():
        with path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            for number, each in enumerate(inside):
                # Names of files may name a patient; the server needs none.
                archive.write(each, f"{number:05}")
        file.seek(0)
        yield file
