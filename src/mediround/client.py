"""Sessions on a server (``mediround serve``), in the hands of a program without torch.

    client = mediround.Client("http://127.0.0.1:8000", token="…")
    session = client.open("ct.dcm")
    turn = session.ask("Segment the liver.")

A :class:`RemoteSession` has the surface of ``mediround.Session``.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import numpy as np
from numpy.typing import NDArray

from mediround import errors
from mediround.dialogue import Dialogue, Entity, Rle, Round
from mediround.errors import ImageFileError, InputError, MediRoundError, UnknownReferenceError
from mediround.session.entities import Entities, SessionEntity

_SECONDS = 600.0
_EVENTS = "text/event-stream"
_SHAPE = ("id", "name", "status", "score", "mask", "box", "refers_to")


class ServerError(MediRoundError):
    """The server does not answer, refuses this caller, or is busy."""


@dataclass(frozen=True)
class RemoteTurn:
    """One answer; see ``mediround.session.Turn``."""

    query: str
    text: str
    entities: tuple[SessionEntity, ...]


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
                    raise _refusal(answer)
                name = ""
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        yield name, json.loads(line[6:])
        except httpx2.HTTPError as error:
            raise _away(error) from error

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise _away(error) from error
        if answer.is_error:
            raise _refusal(answer)
        return answer


class RemoteSession:
    """A dialogue on a server; the surface of ``mediround.session.Session``.

    Attributes:
        id: names it on the server, for ``Client.resume``.
        size: (height, width) of its image.
    """

    def __init__(self, client: Client, view: dict[str, Any]) -> None:
        self._client = client
        self.id = str(view["id"])
        self.size = (int(view["size"][0]), int(view["size"][1]))
        self._take(view)

    @property
    def dialogue(self) -> Dialogue:
        """What has been said so far, as a value."""
        return self._dialogue

    @property
    def entities(self) -> Entities:
        """Number -> entity."""
        return Entities(self)

    @property
    def turns(self) -> list[RemoteTurn]:
        """All rounds so far."""
        return [self._turn(each) for each in self._dialogue.rounds]

    def refresh(self) -> None:
        """Learn what others have changed."""
        self._take(self._client.call("GET", self._path()))

    def ask(self, query: str, *, told: Callable[[str], None] | None = None) -> RemoteTurn:
        """Ask, and get text and masks; ``told`` is called with the text so far.

        Raises:
            QueryError: the question cannot be asked.
            ServerError: the server does not answer, or is busy.
        """
        for name, content in self._client.events(self._path("/ask"), {"query": query}):
            if name == "text" and told is not None:
                told(content["text"])
            elif name == "error":
                raise _error(content)
            elif name == "done":
                self._take(content["session"])
                return self._turn(self._dialogue.rounds[-1])
        raise ServerError("the answer broke off", remedy="resume the session")

    def add_mask(self, mask: NDArray[np.bool_], name: str | None = None) -> SessionEntity:
        """Bring a mask (bool, H x W) into the dialogue without a question."""
        body = {"mask": _code(mask), "name": name}
        self._take(self._client.call("POST", self._path("/entities"), body))
        return SessionEntity(self, len(self.entities))

    def replace(self, number: int, mask: NDArray[np.bool_]) -> None:
        """Correct entity ``number`` by hand; later rounds see the correction."""
        path = self._path(f"/entities/{self._known(number)}/mask")
        self._take(self._client.call("PUT", path, {"mask": _code(mask)}))

    def rename(self, number: int, name: str | None) -> None:
        """Give entity ``number`` another name, or none."""
        path = self._path(f"/entities/{self._known(number)}")
        self._take(self._client.call("PATCH", path, {"name": name}))

    def remove(self, number: int) -> None:
        """Take the mask of entity ``number`` away; its number stays taken."""
        self._take(self._client.call("DELETE", self._path(f"/entities/{self._known(number)}")))

    def undo(self) -> bool:
        """Take back the last change; False when there is none."""
        return self._step("/undo", "can_undo")

    def redo(self) -> bool:
        """Bring back what was undone; False when there is nothing."""
        return self._step("/redo", "can_redo")

    def save(self, path: str | Path) -> None:
        """Write the session; ``resume`` of a client or a model takes it up with its image."""
        self.export("session", path)

    def export(self, to: str, path: str | Path) -> None:
        """Write the file that the server exports (a zip where it would be several)."""
        data = self._client.fetch(self._path(f"/export?to={to}"))
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise errors.OutputError(f"{str(path)!r} cannot be written ({error.strerror})") from (
                error
            )

    def delete(self) -> None:
        """Delete it on the server."""
        self._client.call("DELETE", self._path())

    def _path(self, rest: str = "") -> str:
        return f"/v1/sessions/{self.id}{rest}"

    def _step(self, path: str, allowed: str) -> bool:
        if not self._view[allowed]:
            return False
        self._take(self._client.call("POST", self._path(path)))
        return True

    def _known(self, number: int) -> int:
        if number not in self.entities:
            raise UnknownReferenceError(f"there is no entity [{number}]")
        return number

    def _turn(self, each: Round) -> RemoteTurn:
        return RemoteTurn(
            each.query, each.text, tuple(SessionEntity(self, entity.id) for entity in each.entities)
        )

    def _take(self, view: dict[str, Any]) -> None:
        found = {
            each["id"]: Entity.model_validate({key: each[key] for key in _SHAPE})
            for each in view["entities"]
        }
        rounds = tuple(
            Round(
                query=each["query"],
                text=each["text"],
                entities=tuple(found[number] for number in each["entities"]),
            )
            for each in view["rounds"]
        )
        given = tuple(found[each["id"]] for each in view["entities"] if each["round"] is None)
        self._dialogue = Dialogue(modality=view["modality"], given=given, rounds=rounds)
        self._view = view


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


def _code(mask: NDArray[np.bool_]) -> dict[str, Any]:
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise InputError(
            f"a mask of shape {array.shape} and type {array.dtype}", expected="bool (H, W)"
        )
    return Rle.encode(array).model_dump(mode="json")


def _away(error: httpx2.HTTPError) -> ServerError:
    return ServerError(
        f"the server does not answer ({type(error).__name__})",
        remedy="check its address, and that it runs",
    )


def _refusal(answer: httpx2.Response) -> MediRoundError:
    try:
        return _error(answer.json())
    except ValueError:
        return ServerError(f"the server answers with status {answer.status_code}")


def _error(body: Mapping[str, Any]) -> MediRoundError:
    kind = getattr(errors, str(body.get("type")), ServerError)
    if not (isinstance(kind, type) and issubclass(kind, MediRoundError)):
        kind = ServerError
    found, expected, remedy = (str(body.get(key, "")) for key in ("found", "expected", "remedy"))
    return kind(found, expected=expected, remedy=remedy)
