"""One dialogue as the official JSON holds it: turns of strings, checked for their shape alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from mediround.errors import DatasetError

EXTRA = "mediround"
"""Key under which a dialogue keeps what the official format has no place for; the official loader
reads keys by name and passes over this one."""

ORIGIN = "record"
"""Key inside it for where the dialogue comes from; no part of the dialogue itself."""

_TASK, _BASE = "segmentation", "[null]"


class InexpressibleError(DatasetError):
    """A dialogue that the other format has no way to say.

    Attributes:
        reason: without the place where it was found, so that equal reasons can be counted.
    """

    def __init__(self, reason: str, *, where: str = "the dialogue", remedy: str = "") -> None:
        self.reason = reason
        super().__init__(f"{where}: {reason}", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's words; ``ind`` is the round (from 0) whose output a question refers to."""

    speaker: Literal["human", "gpt"]
    value: str
    ind: int | None = None

    def to_json(self) -> dict[str, Any]:
        """With the official keys."""
        return {"from": self.speaker, "value": self.value} | (
            {} if self.ind is None else {"ind": self.ind}
        )


@dataclass(frozen=True)
class OfficialRecord:
    """Questions and answers in turn, an even number of turns.

    Attributes:
        turns: human, gpt, human, …
        extra: what stands under the key ``mediround``; empty for none.
    """

    turns: tuple[Turn, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rounds(self) -> tuple[tuple[Turn, Turn], ...]:
        """(question, answer) pairs."""
        return tuple(zip(self.turns[::2], self.turns[1::2], strict=True))

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where the dialogue comes from, as far as its writer knew.

        Raises:
            InexpressibleError: it is not an object.
        """
        return _mapping(self.extra.get(ORIGIN, {}), None)

    def to_json(self) -> dict[str, Any]:
        """Inverse of :meth:`from_json`."""
        plain = {
            "task": _TASK,
            "base": _BASE,
            "conversations": [turn.to_json() for turn in self.turns],
        }
        return plain | ({EXTRA: dict(self.extra)} if self.extra else {})

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Check one item of an official file.

        Raises:
            InexpressibleError: not a segmentation dialogue of paired turns, or it has keys that
                the format does not know.
        """
        items = _mapping(value, {"task", "base", "conversations", EXTRA})
        if items.get("task") != _TASK:
            raise InexpressibleError(f"its task is {items.get('task')!r}, not {_TASK!r}")
        if items.get("base", _BASE) != _BASE:
            raise InexpressibleError(f"its base is {items['base']!r}, not {_BASE!r}")
        turns = items.get("conversations")
        if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
            raise InexpressibleError("it has no conversations")
        found = tuple(_turn(turn) for turn in turns)
        if [turn.speaker for turn in found] != ["human", "gpt"] * (len(found) // 2):
            raise InexpressibleError("its turns are not human, gpt, human, gpt, …")
        return cls(found, _mapping(items.get(EXTRA, {}), None))


def _turn(value: Any) -> Turn:
    items = _mapping(value, {"from", "value", "ind"})
    speaker, text, ind = items.get("from"), items.get("value"), items.get("ind")
    if speaker not in ("human", "gpt"):
        raise InexpressibleError(f"a turn is from {speaker!r}, not 'human' or 'gpt'")
    if not isinstance(text, str):
        raise InexpressibleError(f"a turn's value is {text!r}, not text")
    if "ind" in items and (not isinstance(ind, int) or isinstance(ind, bool)):
        raise InexpressibleError(f"a turn's ind is {ind!r}, not a number")
    if ind is not None and speaker == "gpt":
        raise InexpressibleError("an answer has the key 'ind'")
    return Turn(speaker, text, ind)


def _mapping(value: Any, known: set[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InexpressibleError(f"{type(value).__name__} where an object is expected")
    unknown = sorted(set(value) - known) if known is not None else []
    if unknown:
        raise InexpressibleError(f"unknown keys {unknown}")
    return value
