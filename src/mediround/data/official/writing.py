"""Typed dialogue -> official record, exact or refused.

The format says one target an answer and at most one reference a question. What it has no place
for (names, scores, relations, numbers of given masks) is kept under the key ``mediround`` unless a
plain record is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mediround.data.official.brackets import Bracket, join, split, trouble
from mediround.data.official.reading import GIVEN
from mediround.data.official.record import InexpressibleError, OfficialRecord, Turn
from mediround.dialogue import MARKER, Dialogue, Entity, Rle, Round
from mediround.geometry import mask_to_box

NameMask = Callable[[int, Entity], str]
"""Path of an entity's mask; the round (from 0) that drew it is told too, -1 for a given one."""


@dataclass(frozen=True)
class Written:
    """A record and the masks whose paths it names."""

    record: OfficialRecord
    masks: Mapping[str, Rle]


def from_dialogue(dialogue: Dialogue, name_mask: NameMask, *, plain: bool = False) -> Written:
    """The official record of ``dialogue``.

    Args:
        dialogue: with the path of its image.
        name_mask: gives every mask its path; equal masks of rounds may share one.
        plain: leave out what the format has no place for instead of keeping it.

    Raises:
        InexpressibleError: several targets or none in an answer, several references in a
            question, an absent or empty reference, text that reads like a marker, no image, masks
            of different sizes.
    """
    refusal = next(iter(objections(dialogue)), None)
    if refusal is not None:
        raise InexpressibleError(refusal)
    return _Writing(dialogue, name_mask).written(plain=plain)


def objections(dialogue: Dialogue) -> list[str]:
    """Why the official format cannot say ``dialogue``; empty when it can."""
    found: list[str] = []
    if not dialogue.image:
        found.append("it names no image")
    elif not _nameable(dialogue.image):
        found.append(f"the path {dialogue.image!r} does not fit into a marker")
    if not dialogue.rounds:
        found.append("it has no rounds")
    masks = {entity.id: entity.mask for entity in dialogue.entities()}
    if len({mask.size for mask in masks.values() if mask is not None}) > 1:
        found.append("its masks have different sizes")
    for each in dialogue.rounds:
        found += round_objections(each, masks)
    return found


def round_objections(each: Round, masks: Mapping[int, Rle | None]) -> list[str]:
    """Why the official format cannot say this round; ``masks``: entity number -> mask."""
    found: list[str] = []
    answered = [int(number) for number in MARKER.findall(each.text)]
    if len(each.entities) != 1 or each.entities[0].mask is None:
        drawn = sum(entity.mask is not None for entity in each.entities)
        found.append("an answer draws nothing" if drawn == 0 else "an answer draws several masks")
    elif answered != [each.entities[0].id]:
        found.append("an answer does not name its target once, and nothing else")
    if len(each.references) > 1:
        found.append("a question has several references")
    for number in each.references:
        mask = masks[number]
        if mask is None:
            found.append("a question refers to an absent structure")
        elif _tight_box(mask) is None:
            found.append("a question refers to an empty mask")
    for text in (each.query, each.text):
        reserved = trouble(MARKER.sub(str(Bracket("MASK-DECODE", "m")), text))
        if reserved is not None:
            found.append(f"its text holds {reserved!r}, which the official code reads otherwise")
    return found


@dataclass
class _Writing:
    dialogue: Dialogue
    name_mask: NameMask

    def __post_init__(self) -> None:
        self.paths: dict[int, str] = {}
        self.rounds: dict[int, int] = {}
        self.masks: dict[str, Rle] = {}
        for entity in self.dialogue.given:
            self._name(GIVEN, entity)
        for place, each in enumerate(self.dialogue.rounds):
            self._name(place, each.entities[0])

    def written(self, *, plain: bool) -> Written:
        turns: list[Turn] = []
        for place, each in enumerate(self.dialogue.rounds):
            turns += [self._question(place, each), self._answer(each)]
        return Written(OfficialRecord(tuple(turns), {} if plain else self._extra()), self.masks)

    def _name(self, place: int, entity: Entity) -> None:
        if entity.mask is None:
            raise InexpressibleError("a given mask is absent")
        path = self.name_mask(place, entity)
        if not _nameable(path) or self.masks.setdefault(path, entity.mask) != entity.mask:
            raise InexpressibleError(f"{path!r} cannot name a mask, or names two")
        if place == GIVEN and path in self.paths.values():
            raise InexpressibleError(f"{path!r} names two given masks")
        self.paths[entity.id] = path
        self.rounds[entity.id] = place

    def _question(self, place: int, each: Round) -> Turn:
        value, ind = each.query, None
        for number in each.references:
            path, ind = self.paths[number], self.rounds[number]
            pair = join([Bracket("MASK-ENCODE", path), Bracket("BOX-ENCODE", path)])
            value = value.replace(f"[{number}]", pair)
        if place == 0:
            value = f"{Bracket('IMAGE256', self.dialogue.image or '')} {value}"
        return Turn("human", value, ind)

    def _answer(self, each: Round) -> Turn:
        number = each.entities[0].id
        before, _, after = each.text.partition(f"[{number}]")
        parts: list[str | Bracket] = [Bracket("MASK-DECODE", self.paths[number]), after]
        if each.references:
            # Of two spaces one stood on each side of a marker that the prompt does not show.
            spaced = before.endswith("  ")
            before = before.removesuffix(" ") if spaced else before
            reference = Bracket("REF-DECODE", self.paths[each.references[0]])
            parts = [reference, *([" "] if spaced else []), *parts]
        return Turn("gpt", join([before, *parts]))

    def _extra(self) -> dict[str, Any]:
        """What reading would not find out by itself; empty for nothing."""
        rounds = [self._kept(each) for each in self.dialogue.rounds]
        numbered = [e.id for each in self.dialogue.rounds for e in each.entities]
        given = [
            {"id": e.id, "mask": self.paths[e.id]} | _changed(e, "given", ())
            for e in self.dialogue.given
        ]
        extra = self.dialogue.model_dump(
            mode="json", exclude={"image", "given", "rounds"}, exclude_defaults=True
        )
        if not self._natural(given):
            extra["given"] = given
            for kept, number in zip(rounds, numbered, strict=True):
                kept["entity"] = {"id": number} | kept.get("entity", {})
        if any(rounds):
            extra["rounds"] = rounds
        return extra

    def _natural(self, given: list[dict[str, Any]]) -> bool:
        """Whether reading gives these masks these numbers, in this order, without being told."""
        order: list[int] = []
        number = 0
        for each in self.dialogue.rounds:
            for meant in each.references:
                if self.rounds[meant] == GIVEN and meant not in order:
                    number += 1
                    if meant != number:
                        return False
                    order.append(meant)
            number += 1
        return [item["id"] for item in given] == order and all(len(item) == 2 for item in given)

    @staticmethod
    def _kept(each: Round) -> dict[str, Any]:
        kept = each.model_dump(
            mode="json", exclude={"query", "text", "entities"}, exclude_defaults=True
        )
        entity = _changed(each.entities[0], "ok", each.references)
        return kept | ({"entity": entity} if entity else {})


@lru_cache(maxsize=256)
def _tight_box(mask: Rle) -> tuple[float, float, float, float] | None:
    """Corners of the box round a mask, None for an empty one; asked for several times each."""
    box = mask_to_box(mask.decode())
    return None if box is None else box.corners


def _nameable(path: str) -> bool:
    """Whether a marker can hold ``path``."""
    bracket = Bracket("IMAGE256", path)
    return split(str(bracket)) == [bracket] and trouble(str(bracket)) is None


def _changed(entity: Entity, status: str, refers_to: tuple[int, ...]) -> dict[str, Any]:
    """Fields of ``entity`` that differ from what reading its mask gives."""
    assert entity.mask is not None  # checked before anything is written
    box = _tight_box(entity.mask)
    usual = {
        "name": None,
        "status": status,
        "score": None,
        "box": None if box is None else list(box),
        "refers_to": list(refers_to),
    }
    found = entity.model_dump(mode="json", exclude={"id", "mask"})
    return {key: value for key, value in found.items() if value != usual.get(key)}
