"""Words of the rounds that only rich dialogues have; the words are data, ``questions*.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from mediround.data.scene.relations_wide import WideLink
from mediround.data.words import wording
from mediround.data.words.grammar import expand_all
from mediround.data.words.phrasebook import halved, term
from mediround.data.words.wording import Language, Register, Split, capital

_ASKING: Final = ("Is", "Are", "Do", "Can", "What", "Which", "Where", "How", "On", "In")
_GAPS: Final = ("{a}", "{b}", "{c}")
_FORMS: Final = {"en": "questions.toml", "zh": "questions.zh.toml"}
_TALK: Final = {"en": "small_talk.toml", "zh": "small_talk.zh.toml"}


@cache
def _table(file: str) -> dict[str, Any]:
    source = resources.files("mediround.data.words").joinpath(file)
    return tomllib.loads(source.read_text(encoding="utf-8"))


@cache
def forms(group: str, kind: str, split: Split, language: Language = "en") -> tuple[str, ...]:
    """Surface forms with their gaps.

    Args:
        group: ``"phrase"`` (noun phrases for a frame), ``"whole"`` (whole questions) or
            ``"enquiry"`` (whole questions that are answered in words alone).
        kind: the kind of relation or question.
        split: training or held out; no form is in both.
        language: of the words.

    Raises:
        KeyError: there is no such kind.
    """
    return expand_all(_table(_FORMS[language])[group][kind][halved(split)])


def kinds(group: str) -> tuple[str, ...]:
    """The kinds of a group that have words."""
    return tuple(_table("questions.toml")[group])


@cache
def small_talk(split: Split, language: Language = "en") -> tuple[tuple[str, str], ...]:
    """Questions and answers of general medical knowledge; every fifth pair is held out."""
    pairs = [(each["q"], each["a"]) for each in _table(_TALK[language])["pair"]]
    return tuple(p for n, p in enumerate(pairs) if (n % 5 == 4) == (split != "train"))


class Asker:
    """Puts rich questions into words of one split; every choice comes from ``rng``."""

    def __init__(
        self,
        split: Split,
        rng: np.random.Generator,
        register: Register | None = None,
        language: Language = "en",
    ) -> None:
        self.split: Split = split
        self.rng = rng
        self.register: Register | None = register
        self.language: Language = language

    def choose(self, options: tuple[str, ...]) -> str:
        """One of ``options``, uniformly."""
        return options[int(self.rng.integers(len(options)))]

    def whole(self, kind: str, **gaps: str) -> str:
        """A whole question with its gaps filled."""
        return _filled(self.choose(forms("whole", kind, self.split, self.language)), gaps)

    def enquiry(self, kind: str, references: list[str], **gaps: str) -> str:
        """A question to be answered in words."""
        filled = _filled(self.choose(forms("enquiry", kind, self.split, self.language)), gaps)
        return _referring(filled, references)

    def phrase(self, link: WideLink) -> str:
        """The noun phrase of a relation, with the gaps of its references."""
        return self.substance_phrase(link.kind.value, dict(link.terms))

    def substance_phrase(self, kind: str, gaps: dict[str, str]) -> str:
        """A noun phrase with the gaps ``gaps`` filled by terms: "organ", "bile", "second"."""
        phrase = self.choose(forms("phrase", kind, self.split, self.language))
        for gap, value in gaps.items():
            phrase = phrase.replace(f"{{{gap}}}", term(value, self.language))
        return phrase

    def framed(self, phrase: str, references: list[str], *, named: bool = True) -> str:
        """``phrase`` in a frame; without ``named`` the request to leave the name out follows."""
        language = self.language
        frame = self.choose(wording.frames(self.split, self.register, language=language))
        question = _referring(capital(frame.replace("{x}", phrase)), references)
        if named:
            return question
        return self.joined(
            question, self.choose(wording.requests_without_name(self.split, language))
        )

    def joined(self, sentence: str, other: str) -> str:
        """Two sentences, one after the other."""
        return f"{sentence} {other}" if self.language == "en" else f"{sentence}{other}"


def _referring(text: str, references: list[str]) -> str:
    for gap, reference in zip(_GAPS, references, strict=False):
        text = text.replace(gap, reference)
    return capital(text)


def _filled(text: str, gaps: dict[str, str]) -> str:
    for gap, value in gaps.items():
        text = text.replace(f"{{{gap}}}", value)
    end = "?" if text.split(" ", 1)[0] in _ASKING else "."
    return capital(text.replace("{end}", end))
