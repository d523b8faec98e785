"""Official record -> typed dialogue.

A question refers to the round that its ``ind`` names, which must be one whose target the question
encodes. Without ``ind`` the latest such round is meant; a mask that no round has drawn, or one
with ``ind`` -1, was supplied by a person and becomes a given entity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mediround.data.official.brackets import Bracket, split, trouble
from mediround.data.official.record import ORIGIN, InexpressibleError, OfficialRecord, Turn
from mediround.dialogue import MARKER, Dialogue, Entity, Round, markers
from mediround.geometry import BoolMask

LoadMask = Callable[[str], BoolMask]
"""From a path inside a marker to the mask (H, W)."""

GIVEN = -1
"""``ind`` of a mask that no round has drawn."""


def to_dialogue(record: OfficialRecord, load_mask: LoadMask) -> Dialogue:
    """The typed dialogue that ``record`` says.

    Masks are inline afterwards; their paths are not kept.

    Raises:
        InexpressibleError: markers in unknown places, two references in one question, an ``ind``
            that contradicts the paths, text that reads like a marker, …
        ImageFileError: raised by ``load_mask``.
    """
    return read_record(record, load_mask).dialogue


@dataclass(frozen=True)
class Read:
    """A typed dialogue, and where each of its masks was: entity number -> path."""

    dialogue: Dialogue
    paths: Mapping[int, str]


def read_record(record: OfficialRecord, load_mask: LoadMask) -> Read:
    """Like :func:`to_dialogue`, with the paths of the masks."""
    reading = _Reading(record, load_mask)
    dialogue = reading.dialogue()
    given = {entity.id: path for path, entity in reading.given.items()}
    return Read(dialogue, given | dict(reading.drawn))


@dataclass
class _Reading:
    record: OfficialRecord
    load_mask: LoadMask
    image: str = ""
    drawn: list[tuple[int, str]] = field(default_factory=list)
    given: dict[str, Entity] = field(default_factory=dict)
    masks: dict[str, BoolMask] = field(default_factory=dict)

    def dialogue(self) -> Dialogue:
        extra = {key: value for key, value in self.record.extra.items() if key != ORIGIN}
        kept = _objects(extra.pop("rounds", []))
        for item in _objects(extra.pop("given", [])):
            path = item.pop("mask", None)
            if not isinstance(path, str):
                raise InexpressibleError("a given mask has no path")
            self.given[path] = self._entity(item.pop("id", 0), path, "given", (), item)
        if kept and len(kept) != len(self.record.rounds):
            raise InexpressibleError(
                f"it keeps the details of {len(kept)} of {len(self.record.rounds)} rounds"
            )
        rounds = [
            self._round(place, *turns, kept[place] if kept else {})
            for place, turns in enumerate(self.record.rounds)
        ]
        values = {"image": self.image, "given": tuple(self.given.values()), "rounds": rounds}
        try:
            return Dialogue.model_validate(values | extra)
        except ValidationError as error:
            raise InexpressibleError(_first(error)) from error

    def _round(self, place: int, asked: Turn, answered: Turn, kept: dict[str, Any]) -> Round:
        query, referred = self._question(place, asked)
        details = kept.pop("entity", {})
        if not isinstance(details, dict):
            raise InexpressibleError("a round's entity is not an object")
        number = details.pop("id", self._next())
        text, path = self._answer(answered, referred, number)
        entity = self._entity(number, path, "ok", markers(query), details)
        self.drawn.append((number, path))
        try:
            return Round.model_validate(
                {"query": query, "text": text, "entities": (entity,)} | kept
            )
        except ValidationError as error:
            raise InexpressibleError(_first(error)) from error

    def _question(self, place: int, turn: Turn) -> tuple[str, str | None]:
        """The typed query, and the path of the mask that it refers to."""
        parts = _parts(turn)
        if place == 0:
            if not parts or not isinstance(parts[0], Bracket) or parts[0].kind != "IMAGE256":
                raise InexpressibleError("its first question does not begin with the image")
            self.image = parts.pop(0).path  # type: ignore[union-attr]  # a bracket, see above
        brackets = [part for part in parts if isinstance(part, Bracket)]
        path = self._pair(parts, brackets)
        if path is None and turn.ind is not None:
            raise InexpressibleError("a question has 'ind' and encodes no mask")
        number = None if path is None else self._meant(path, turn.ind)
        words = ["" if isinstance(part, Bracket) else part for part in parts]
        if brackets:
            words[parts.index(brackets[0])] = f"[{number}]"
        query = "".join(words)
        return query.removeprefix(" ") if place == 0 else query, path

    @staticmethod
    def _pair(parts: list[str | Bracket], brackets: list[Bracket]) -> str | None:
        if not brackets:
            return None
        if [bracket.kind for bracket in brackets] != ["MASK-ENCODE", "BOX-ENCODE"]:
            kinds = ", ".join(bracket.kind for bracket in brackets)
            raise InexpressibleError(
                f"a question holds the markers {kinds}, not MASK-ENCODE, BOX-ENCODE once"
            )
        first, second = brackets
        if first.path != second.path or parts.index(second) != parts.index(first) + 1:
            raise InexpressibleError("MASK-ENCODE and BOX-ENCODE are not two of one mask in a row")
        return first.path

    def _meant(self, path: str, ind: int | None) -> int:
        """Number of the entity that a question about ``path`` refers to."""
        if ind is not None and ind != GIVEN:
            if not 0 <= ind < len(self.drawn) or self.drawn[ind][1] != path:
                raise InexpressibleError("'ind' names a round that did not draw the encoded mask")
            return self.drawn[ind][0]
        if ind is None:
            for number, drawn in reversed(self.drawn):
                if drawn == path:
                    return number
        if path not in self.given:
            self.given[path] = self._entity(self._next(), path, "given", (), {})
        return self.given[path].id

    def _answer(self, turn: Turn, referred: str | None, number: int) -> tuple[str, str]:
        """The typed text, and the path of the target."""
        parts = _parts(turn)
        targets = [p for p in parts if isinstance(p, Bracket) and p.kind == "MASK-DECODE"]
        others = [p for p in parts if isinstance(p, Bracket) and p.kind != "MASK-DECODE"]
        if len(targets) != 1:
            raise InexpressibleError(f"an answer holds {len(targets)} targets, not one")
        if [p.kind for p in others] not in ([], ["REF-DECODE"]):
            raise InexpressibleError("an answer holds other markers than REF-DECODE, MASK-DECODE")
        if others and others[0].path != referred:
            raise InexpressibleError("REF-DECODE is not what the question refers to")
        words = [part if isinstance(part, str) else "" for part in parts]
        words[parts.index(targets[0])] = f"[{number}]"
        return "".join(words), targets[0].path

    def _entity(
        self, number: Any, path: str, status: str, refers_to: tuple[int, ...], kept: dict[str, Any]
    ) -> Entity:
        if path not in self.masks:
            self.masks[path] = self.load_mask(path)
        plain = {"status": status, "refers_to": refers_to}
        try:
            entity = Entity.from_mask(number, self.masks[path], **plain)
            if not kept:
                return entity
            return Entity.model_validate(entity.model_dump() | kept)
        except ValidationError as error:
            raise InexpressibleError(_first(error)) from error

    def _next(self) -> int:
        return len(self.drawn) + len(self.given) + 1


def _parts(turn: Turn) -> list[str | Bracket]:
    found = trouble(turn.value)
    if found is not None:
        raise InexpressibleError(f"its text holds {found!r}, which is no text")
    if MARKER.search(turn.value):
        raise InexpressibleError("its text holds a number in brackets, which would be a reference")
    return split(turn.value)


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InexpressibleError("what it keeps for mediround is not a list of objects")
    return [dict(item) for item in value]


def _first(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
