"""Chinese names of structures: from the atlas's names to Chinese and back out of running text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

SIDES: Final[Mapping[str, str]] = {"left": "左", "right": "右"}
_HAN = re.compile(r"[\u4e00-\u9fff]")


def names(entity: str) -> tuple[str, ...]:
    """Chinese names of the structure ``entity`` of the atlas, the usual one first.

    Returns:
        Empty when none is known.
    """
    return _names().get(entity, ())


def unsided(entity: str) -> str:
    """The usual Chinese name of a left or right structure, without its side.

    Raises:
        KeyError: it has no such name.
    """
    return next(name[1:] for name in _names()[entity] if name[0] in SIDES.values())


def recognise(text: str) -> tuple[str, ...]:
    """Canonical names of the structures mentioned in Chinese ``text``, in order, each once.

    The longest name wins. A name without its side ("肾") mentions what has that name alone, and
    otherwise both sides.
    """
    found = (_by_name()[each] for each in _pattern().findall(text))
    return tuple(dict.fromkeys(entity for entities in found for entity in entities))


def is_chinese(text: str) -> bool:
    """Whether ``text`` has a Chinese character."""
    return _HAN.search(text) is not None


@cache
def _names() -> Mapping[str, tuple[str, ...]]:
    source = resources.files("mediround.data.words").joinpath("names.zh.toml")
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    known = {entity: tuple(chinese) for entity, chinese in table["plain"].items()}
    for entity, chinese in table["sided"].items():
        for side, said in SIDES.items():
            full = f"{side} {entity}"
            known[full] = (*(said + name for name in chinese), f"{said}侧{chinese[0]}")
    return known


@cache
def _by_name() -> Mapping[str, tuple[str, ...]]:
    source = resources.files("mediround.data.words").joinpath("names.zh.toml")
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    found: dict[str, tuple[str, ...]] = {}
    for entity, chinese in _names().items():
        found.update(dict.fromkeys(chinese, (entity,)))
    for entity, chinese in table["sided"].items():
        both = tuple(f"{side} {entity}" for side in SIDES)
        for name in chinese:
            found.setdefault(name, both)
    return found


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(_by_name(), key=len, reverse=True)
    return re.compile("|".join(re.escape(name) for name in longest_first))
