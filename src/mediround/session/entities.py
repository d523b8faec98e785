"""The numbered structures of a session, as people hold them in their hands."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mediround.dialogue import Dialogue, Entity, Status
from mediround.errors import UnknownReferenceError


class Editor(Protocol):
    """Who owns the entities and can change them."""

    @property
    def dialogue(self) -> Dialogue:
        """What has been said so far."""

    def replace(self, number: int, mask: NDArray[np.bool_]) -> None:
        """Put a person's mask in place of an entity's."""

    def rename(self, number: int, name: str | None) -> None:
        """Give an entity another name."""


class SessionEntity:
    """Entity ``[id]`` of a session as it is now; reads fail once an undo has removed it."""

    def __init__(self, editor: Editor, number: int) -> None:
        self._editor = editor
        self.id = number

    def __repr__(self) -> str:
        return f"<[{self.id}] {self.name or 'unnamed'}, {self.status}>"

    @property
    def _now(self) -> Entity:
        for entity in self._editor.dialogue.entities():
            if entity.id == self.id:
                return entity
        raise UnknownReferenceError(f"[{self.id}] is no longer there", remedy="redo, or ask again")

    @property
    def name(self) -> str | None:
        """What it is, as far as the text said; None when unnamed."""
        return self._now.name

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Bool (H, W) in the pixels of the image; None for an absent structure."""
        code = self._now.mask
        return None if code is None else code.decode()

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(x0, y0, x1, y1) in pixels, half-open; None for an empty mask."""
        return self._now.box

    @property
    def score(self) -> float | None:
        """The judge's estimate of the mask's IoU with the truth, 0..1; None if a person drew it."""
        return self._now.score

    @property
    def status(self) -> Status:
        """One of "ok", "unsure", "absent", "corrected" (by a person), "given" (no question)."""
        return self._now.status

    @property
    def box_prompt(self) -> tuple[float, float, float, float] | None:
        """The box that a person drew, in which the model found the mask; None for other masks."""
        return self._now.box_prompt

    @property
    def refers_to(self) -> tuple[int, ...]:
        """Numbers of the entities that the question named."""
        return self._now.refers_to

    def replace(self, mask: NDArray[np.bool_]) -> None:
        """Correct the mask by hand; later rounds see the correction."""
        self._editor.replace(self.id, mask)

    def rename(self, name: str | None) -> None:
        """Give it another name, or none."""
        self._editor.rename(self.id, name)


class Entities(Mapping[int, SessionEntity]):
    """Number -> entity, for all that exist now."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def __getitem__(self, number: int) -> SessionEntity:
        known = list(self)
        if number not in known:
            raise UnknownReferenceError(
                f"there is no entity [{number}]", expected=f"one of {known}" if known else ""
            )
        return SessionEntity(self._editor, number)

    def __iter__(self) -> Iterator[int]:
        return (entity.id for entity in self._editor.dialogue.entities())

    def __len__(self) -> int:
        return sum(1 for _ in self._editor.dialogue.entities())

    def __contains__(self, number: object) -> bool:
        return any(entity.id == number for entity in self._editor.dialogue.entities())
