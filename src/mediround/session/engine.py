"""A session: one image, one dialogue, any number of questions.

The dialogue is a value; every change makes a new one, so undo and redo are steps in a list. What
the model has read is a cache beside it that finds out by itself how much still holds.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediround import anatomy
from mediround.data.scene.relations import RADIOLOGICAL
from mediround.data.words.wording import DENIALS, answer_unnamed
from mediround.dialogue import MARKER, Dialogue, Entity, Round, Status
from mediround.errors import InputError
from mediround.geometry import box_to_mask
from mediround.imaging import Image, Modality
from mediround.session.boxes import Fit, box_in_image, check_holds_structure
from mediround.session.entities import Entities, SessionEntity
from mediround.session.model import Model
from mediround.session.naming import named_masks
from mediround.session.query import resolve
from mediround.session.reader import Answer, Reader
from mediround.session.source import Source
from mediround.session.store import SessionFile
from mediround.session.talk import plain_answer


@dataclass(frozen=True)
class Turn:
    """One answer: its text, with ``[n]`` where it drew, and the entities that it introduced."""

    query: str
    text: str
    entities: tuple[SessionEntity, ...]


class Session:
    """A dialogue with a model about one image; safe to use from several threads.

    Make one with ``model.open(...)``. Attributes: ``image`` (2-D), ``source``, ``model``.
    """

    def __init__(
        self,
        model: Model,
        image: Image,
        source: Source,
        dialogue: Dialogue | None = None,
        *,
        keep_cache: bool = True,
    ) -> None:
        self.model, self.image, self.source = model, image, source
        self._lock = threading.RLock()
        self._history: list[Dialogue] = [dialogue or Dialogue(modality=image.modality.value)]
        self._now = 0
        with model.lock:
            self._encoded = seen = model.encode(image)
            self._reader = Reader(
                model.network,
                seen.features,
                seen.view,
                _axes(image),
                modality=image.modality,
                keep=keep_cache,
            )

    @property
    def dialogue(self) -> Dialogue:
        """What has been said so far, as a value."""
        return self._history[self._now]

    @property
    def entities(self) -> Entities:
        """Number -> entity."""
        return Entities(self)

    @property
    def turns(self) -> list[Turn]:
        """All rounds so far."""
        return [self._turn(each) for each in self.dialogue.rounds]

    @property
    def kept_bytes(self) -> int:
        """Memory of what the model has read here; it can be dropped and read again."""
        return self._reader.kept_bytes

    def ask(
        self,
        query: str,
        *,
        text: str | None = None,
        adapter: bool = True,
        told: Callable[[str], None] | None = None,
    ) -> Turn:
        """Ask, and get text and masks.

        Args:
            query: free text; ``[n]``, "instance n", "round n's output" or "it" refer to masks.
            text: an answer to be taken as said, with ``[n]`` for new masks (for evaluation with
                gold text); by default the model speaks for itself.
            adapter: False lets the pretrained language model answer this turn, without all that
                training added: plain talk, which sees no image and draws nothing.
            told: called with the text so far while the model speaks; whatever it raises ends the
                answer and leaves the session unchanged.

        Raises:
            QueryError: the question is empty or too long, or refers to what is not there; the
                session is unchanged.
        """
        with self._lock:
            resolved = resolve(query, self.dialogue)
            if adapter:
                with self.model.lock:
                    answer = self._reader.answer(self.dialogue, resolved, text, told)
                each = self._round(resolved, answer)
            else:
                each = Round(query=resolved, text=self._talk(resolved, text, told))
            self._commit(rounds=(*self.dialogue.rounds, each))
            return self._turn(each)

    def add_mask(self, mask: NDArray[np.bool_], name: str | None = None) -> SessionEntity:
        """Bring a mask (bool, H x W) into the dialogue without a question."""
        with self._lock:
            return self._give(self._checked(mask), name=name)

    def add_box(
        self, box: Sequence[float], name: str | None = None, *, fit: Fit = "structure"
    ) -> SessionEntity:
        """Bring what a person enclosed with a box into the dialogue, without a question.

        Like every given mask it has no score; ``box_prompt`` says where it came from.

        Args:
            box: (x0, y0, x1, y1) in pixels of the image, half-open; may reach beyond the image.
            name: what it is.
            fit: "structure" lets the model find what the box encloses, inside it; "rectangle"
                takes all pixels whose centre it holds, with any model.

        Raises:
            InputError: no box in this image, too small a one, nothing to be found in it, or a
                model that cannot find structures in boxes; the session is unchanged.
        """
        with self._lock:
            drawn = box_in_image(box, self.image.size)
            if fit == "rectangle":
                return self.add_mask(box_to_mask(drawn, self.image.size), name)
            check_holds_structure(drawn)
            mask = self.model.find(self._encoded, drawn)
            return self._give(self._checked(mask), name=name, box_prompt=drawn.corners)

    def replace(self, number: int, mask: NDArray[np.bool_]) -> None:
        """Correct entity ``number`` by hand; later rounds see the correction."""
        with self._lock:
            old = self._entity(number)
            status: Status = "given" if old.status == "given" else "corrected"
            new = Entity.from_mask(
                number, self._checked(mask), name=old.name, status=status, refers_to=old.refers_to
            )
            self._exchange(new)

    def rename(self, number: int, name: str | None) -> None:
        """Give entity ``number`` another name, or none."""
        with self._lock:
            self._exchange(self._entity(number).model_copy(update={"name": name}))

    def undo(self) -> bool:
        """Take back the last change; False when there is none."""
        with self._lock:
            possible = self._now > 0
            self._now -= possible
            return possible

    def redo(self) -> bool:
        """Bring back what was undone; False when there is nothing."""
        with self._lock:
            possible = self._now + 1 < len(self._history)
            self._now += possible
            return possible

    def save(self, path: str | Path) -> None:
        """Write the session; ``model.resume(path)`` takes it up again.

        Raises:
            OutputError: the file cannot be written.
        """
        self.file().write(Path(path))

    def file(self) -> SessionFile:
        """The session as ``save`` writes it."""
        return SessionFile(
            image=None if self.source.path is None else str(self.source.path),
            image_sha256=self.image.content_hash,
            slice=self.source.slice,
            plane=self.source.plane,
            modality=self.image.modality,
            model=self.model.name,
            weights_sha256=self.model.weights_sha256,
            given=self.dialogue.given,
            rounds=self.dialogue.rounds,
        )

    def export(self, to: str, path: str | Path, *, drop: bool = False) -> list[Path]:
        """Write the masks in the geometry of their source; see ``mediround.session.export``.

        Args:
            to: "dicom-seg", "nifti", "coco", "png", "stl", "dialogue" or "official".
            path: a folder, or a file with the ending of the format.
            drop: leave out rounds that the official format cannot say.

        Returns:
            The files that were written.

        Raises:
            InputError: no such format, or one that this image or dialogue does not allow.
            OutputError: a file cannot be written.
        """
        from mediround.session.export import Case, export  # readers of formats that few need

        return export(Case(self.file(), self.image, self.source), to, Path(path), drop=drop)

    def _talk(self, query: str, text: str | None, told: Callable[[str], None] | None) -> str:
        if text is not None:
            return text
        with self.model.lock:
            return plain_answer(self.model.network.language, self.dialogue, query, told=told)

    def _round(self, query: str, answer: Answer) -> Round:
        first = len(self.entities) + 1
        refers_to = tuple(int(number) for number in MARKER.findall(query))
        names = named_masks(answer.text)
        entities = [
            Entity.from_mask(
                first + offset,
                mask,
                name=names.get(first + offset),
                score=float(score),
                status=self._status(answer.text, first + offset, names, float(score)),
                refers_to=refers_to,
            )
            for offset, (mask, score) in enumerate(zip(answer.masks, answer.scores, strict=True))
        ]
        if not entities and answer.text.startswith(DENIALS):
            named = anatomy.load().recognise(answer.text)
            entities = [
                Entity(
                    id=first, name=named[0] if named else None, status="absent", refers_to=refers_to
                )
            ]
        return Round(query=query, text=answer.text, entities=tuple(entities))

    def _status(self, text: str, number: int, names: Mapping[int, str], score: float) -> Status:
        """Unsure: a low score, or words about something the model never learned."""
        config = self.model.network.config
        nameless = number not in names and text == answer_unnamed(number)
        learned = not config.entities or nameless or names.get(number) in config.learned
        return "ok" if learned and score >= config.unsure_below else "unsure"

    def _give(self, mask: NDArray[np.bool_], **fields: object) -> SessionEntity:
        number = len(self.entities) + 1
        entity = Entity.from_mask(number, mask, status="given", **fields)
        self._commit(given=(*self.dialogue.given, entity))
        return SessionEntity(self, number)

    def _turn(self, each: Round) -> Turn:
        handles = tuple(SessionEntity(self, entity.id) for entity in each.entities)
        return Turn(each.query, each.text, handles)

    def _commit(self, **changes: object) -> None:
        values = {"given": self.dialogue.given, "rounds": self.dialogue.rounds} | changes
        changed = Dialogue.model_validate({**values, "modality": self.dialogue.modality})
        self._history[self._now + 1 :] = [changed]
        self._now += 1

    def _exchange(self, new: Entity) -> None:
        given = _exchanged(self.dialogue.given, new)
        rounds = tuple(
            each.model_copy(update={"entities": _exchanged(each.entities, new)})
            for each in self.dialogue.rounds
        )
        self._commit(given=given, rounds=rounds)

    def _entity(self, number: int) -> Entity:
        _ = self.entities[number]
        return next(e for e in self.dialogue.entities() if e.id == number)

    def _checked(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        array = np.asarray(mask)
        if array.shape != self.image.size:
            raise InputError(
                f"a mask of shape {array.shape}",
                expected=f"{self.image.size}, the image's own pixels",
            )
        if array.dtype != np.bool_:
            raise InputError(f"a mask of type {array.dtype}", expected="bool")
        if not array.any():
            raise InputError("an empty mask", expected="at least one pixel inside")
        return array


def _axes(image: Image) -> str | None:
    """Where its columns and rows lead in the patient, two letters.

    CT that does not say so is taken to be an axial slice in radiological display, as it was while
    the model was trained.
    """
    if image.directions is not None:
        return image.directions.right + image.directions.bottom
    return RADIOLOGICAL if image.modality is Modality.CT else None


def _exchanged(entities: Iterable[Entity], new: Entity) -> tuple[Entity, ...]:
    return tuple(new if entity.id == new.id else entity for entity in entities)
