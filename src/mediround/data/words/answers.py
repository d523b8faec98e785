"""Answers in words, one form for each: "On the patient's left.", "About 12 cm²."."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from mediround.data.words.phrasebook import Language
from mediround.data.words.wording import called, capital, is_plural

_SPOKEN: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "zh": ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九"),
}


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    source = resources.files("mediround.data.words").joinpath("answers.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def said(key: str, language: Language, **gaps: str) -> str:
    """The sentence ``key`` of ``answers.toml`` with its gaps filled.

    Raises:
        KeyError: there is no such sentence, or a gap is left open.
    """
    return capital(_table()[language][key].format(**gaps))


def spoken(count: int, language: Language = "en") -> str:
    """A small number in words; in Chinese as it stands before a measure word."""
    words = _SPOKEN[language]
    return words[count] if count < len(words) else str(count)


def listed(parts: list[str]) -> str:
    """Join as in "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def answer_several(targets: list[tuple[str, int]], language: Language = "en") -> str:
    """The answer that names its targets: "The liver is [1], the aorta is [2] and …"."""
    if language == "zh":
        return "，".join(f"{called(name, language)}是 [{n}]" for name, n in targets) + "。"
    verbs = [f"the {name} {'are' if is_plural(name) else 'is'} [{n}]" for name, n in targets]
    return capital(listed(verbs)) + "."


def answer_several_unnamed(numbers: list[int], language: Language = "en") -> str:
    """The answer after a request not to name the structures."""
    markers = [f"[{n}]" for n in numbers]
    return f"它们是 {'、'.join(markers)}。" if language == "zh" else f"They are {listed(markers)}."
