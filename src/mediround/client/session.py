"""A session that is held on a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mediround import errors
from mediround.client.refusals import ServerError, error_of
from mediround.dialogue import Dialogue, Entity, Rle, Round
from mediround.errors import InputError, UnknownReferenceError
from mediround.session.boxes import Fit, box_in_image
from mediround.session.entities import Entities, SessionEntity

if TYPE_CHECKING:
    from mediround.client.connection import Client

_SHAPE = ("id", "name", "status", "score", "mask", "box", "refers_to", "box_prompt")


@dataclass(frozen=True)
class RemoteTurn:
    """One answer; see ``mediround.session.Turn``."""

    query: str
    text: str
    entities: tuple[SessionEntity, ...]


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
                raise error_of(content)
            elif name == "done":
                self._take(content["session"])
                return self._turn(self._dialogue.rounds[-1])
        raise ServerError("the answer broke off", remedy="resume the session")

    def add_mask(self, mask: NDArray[np.bool_], name: str | None = None) -> SessionEntity:
        """Bring a mask (bool, H x W) into the dialogue without a question."""
        body = {"mask": _code(mask), "name": name}
        self._take(self._client.call("POST", self._path("/entities"), body))
        return SessionEntity(self, len(self.entities))

    def add_box(
        self, box: Sequence[float], name: str | None = None, *, fit: Fit = "structure"
    ) -> SessionEntity:
        """Bring what a person enclosed with a box into the dialogue, without a question.

        Args:
            box: (x0, y0, x1, y1) in pixels of the image, half-open.
            name: what it is.
            fit: "structure" lets the server's model find what the box encloses; "rectangle" takes
                all of its pixels.

        Raises:
            InputError: no box in this image, or nothing that could be found in it.
        """
        drawn = list(box_in_image(box, self.size).corners)
        body = {"box": drawn, "fit": fit, "name": name}
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
            each["id"]: Entity.model_validate({key: each[key] for key in _SHAPE if key in each})
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


def _code(mask: NDArray[np.bool_]) -> dict[str, Any]:
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise InputError(
            f"a mask of shape {array.shape} and type {array.dtype}", expected="bool (H, W)"
        )
    return Rle.encode(array).model_dump(mode="json")
