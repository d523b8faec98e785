"""Markers of the official format: ``[MASK-DECODE:masks/a.png]`` and four others inside text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["IMAGE256", "MASK-ENCODE", "BOX-ENCODE", "MASK-DECODE", "REF-DECODE"]
"""Image; reference as crop, as box; target; the reference once more, beside the target."""

_BRACKET = re.compile(rf"\[({'|'.join(get_args(Kind))}):([^\]]+)\]")
_LOOSE = re.compile(r"\[[^\]]+\]")

RESERVED = (
    "<image>", "<s>", "</s>", "<unk>", "[SEG]", "[CROPPEDIMAGE]", "[BBOXINPUT]",
    "[INST]", "[/INST]", "USER: ", "ASSISTANT: ",
)  # fmt: skip
"""What the official code would not take for text, in one of its two templates."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """One marker; ``path`` is relative to the data's root."""

    kind: Kind
    path: str

    def __str__(self) -> str:
        return f"[{self.kind}:{self.path}]"


def split(value: str) -> list[str | Bracket]:
    """Text and markers in order; :func:`join` is the inverse. Empty text is left out.

    >>> split("It is [MASK-DECODE:m.png].")
    ['It is ', Bracket(kind='MASK-DECODE', path='m.png'), '.']
    """
    parts: list[str | Bracket] = []
    end = 0
    for found in _BRACKET.finditer(value):
        if value[end : found.start()]:
            parts.append(value[end : found.start()])
        kind: Kind = found.group(1)  # type: ignore[assignment]  # the pattern lists the kinds
        parts.append(Bracket(kind, found.group(2)))
        end = found.end()
    if value[end:]:
        parts.append(value[end:])
    return parts


def join(parts: Sequence[str | Bracket]) -> str:
    """The value that :func:`split` has cut."""
    return "".join(str(part) for part in parts)


def trouble(value: str) -> str | None:
    """What in ``value`` the official code would read otherwise than we do; None for nothing.

    It takes whatever stands in brackets and holds the name of a marker for that marker.
    """
    for bracket in _LOOSE.findall(value):
        names = [kind for kind in get_args(Kind) if kind in bracket]
        found = _BRACKET.fullmatch(bracket)
        if names and (found is None or names != [found.group(1)]):
            return str(bracket)
    words = join([part for part in split(value) if isinstance(part, str)])
    return next((word for word in RESERVED if word in words), None)
