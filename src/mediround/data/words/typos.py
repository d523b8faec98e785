"""Slips of people who type in haste: typing errors and abbreviations.

Both leave every reference ``[n]``, every gap ``{a}`` and every number as it is, and neither turns
one word of the vocabulary into another: "left" may become "letf", never "lift" if that were a
word that questions use. The data is ``abbreviations.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from mediround import anatomy
from mediround.data.words import chinese, phrasebook

_PROTECTED = re.compile(r"\[\d+\]|\{\w+\}")
_WORD = re.compile(r"[A-Za-z]{4,}")
_TRIES = 6
_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SPLITS: Final[tuple[phrasebook.Split, ...]] = ("train", "heldout")


def mistype(text: str, rng: np.random.Generator) -> str:
    """``text`` with one slip of the keyboard, if it has a word that is long enough.

    English: in one word of four letters or more, two neighbouring letters change places, or one
    is dropped, doubled or replaced by its neighbour on the keyboard; the first letter stays.
    Chinese: one character is replaced by one that sounds alike.

    Args:
        text: a question, with its references or the gaps for them.
        rng: the source of every choice.
    """
    if chinese.is_chinese(text):
        return _mistype_chinese(text, rng)
    guarded = [found.span() for found in _PROTECTED.finditer(text)]
    words = [
        word
        for word in _WORD.finditer(text)
        if not any(start <= word.start() < end for start, end in guarded)
    ]
    if not words:
        return text
    word = words[int(rng.integers(len(words)))]
    for _ in range(_TRIES):
        wrong = _slip(word.group(), rng)
        if wrong.lower() not in vocabulary():
            return text[: word.start()] + wrong + text[word.end() :]
    return text


def abbreviate(text: str, rng: np.random.Generator) -> str:
    """``text`` with its names and words in the short forms of reports ("IVC", "pls", "rt").

    The longest expression wins; each that has a short form is shortened, by one choice among its
    forms.

    Args:
        text: a question, with its references or the gaps for them.
        rng: the source of every choice.
    """
    forms, pattern = _short_forms("zh" if chinese.is_chinese(text) else "en")

    def shorten(found: re.Match[str]) -> str:
        long = found.group()
        options = forms.get(long.lower())
        if options is None:  # a reference or a gap
            return long
        short = options[int(rng.integers(len(options)))]
        starts = found.start() == 0 and short[0].islower()
        return short[0].upper() + short[1:] if starts and long[0].isupper() else short

    return pattern.sub(shorten, text)


@cache
def vocabulary() -> frozenset[str]:
    """Every English word of questions and names, in lower case: what no slip may produce."""
    atlas = anatomy.load()
    texts = [name for entity in atlas for name in (entity.name, *entity.synonyms, *entity.lay)]
    for split in _SPLITS:
        texts += phrasebook.frames(split)
        texts += phrasebook.frames(split, pair=True)
        texts += phrasebook.all_phrases(split)
        for entity in atlas:
            texts += phrasebook.descriptions(entity.name, split, atlas)
    return frozenset(word for text in texts for word in re.findall(r"[a-z]+", text.lower()))


def _slip(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word)))
    kind = int(rng.integers(4))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if kind == 0 and after:
        return f"{before}{after[0]}{letter}{after[1:]}"
    if kind == 1:
        return before + after
    if kind == 2:
        return before + letter + letter + after
    near = _neighbours().get(letter.lower(), letter)
    return before + near[int(rng.integers(len(near)))] + after


@cache
def _neighbours() -> Mapping[str, str]:
    return {
        letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
        for row in _KEYBOARD
        for place, letter in enumerate(row)
    }


def _mistype_chinese(text: str, rng: np.random.Generator) -> str:
    confusions: dict[str, list[str]] = _table()["confusions"]
    places = [place for place, character in enumerate(text) if character in confusions]
    if not places:
        return text
    place = places[int(rng.integers(len(places)))]
    options = confusions[text[place]]
    return text[:place] + options[int(rng.integers(len(options)))] + text[place + 1 :]


@cache
def _table() -> dict[str, Any]:
    source = resources.files("mediround.data.words").joinpath("abbreviations.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


@cache
def _short_forms(language: phrasebook.Language) -> tuple[dict[str, list[str]], re.Pattern[str]]:
    forms: dict[str, list[str]] = _table()[language]
    longest_first = "|".join(re.escape(each) for each in sorted(forms, key=len, reverse=True))
    words = rf"\b(?:{longest_first})\b(?!['’])" if language == "en" else longest_first
    return forms, re.compile(rf"{_PROTECTED.pattern}|{words}", re.IGNORECASE)
