"""Words of the rounds that only rich dialogues have; the words are data, ``questions.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from mediround.data.scene.relations_wide import WideLink
from mediround.data.words import wording
from mediround.data.words.grammar import expand_all
from mediround.data.words.wording import Register, Split

_ASKING: Final = ("Is", "Are", "Do", "Can", "What", "Which", "Where", "How", "On", "In")
_NUMBERS: Final = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_GAPS: Final = ("{a}", "{b}", "{c}")


@cache
def _table(file: str) -> dict[str, Any]:
    source = resources.files("mediround.data.words").joinpath(file)
    return tomllib.loads(source.read_text(encoding="utf-8"))


@cache
def forms(group: str, kind: str, split: Split) -> tuple[str, ...]:
    """Surface forms with their gaps.

    Args:
        group: ``"phrase"`` (noun phrases for a frame), ``"whole"`` (whole questions) or
            ``"enquiry"`` (whole questions that are answered in words alone).
        kind: the kind of relation or question.
        split: training or held out; no form is in both.

    Raises:
        KeyError: there is no such kind.
    """
    return expand_all(_table("questions.toml")[group][kind][split])


def kinds(group: str) -> tuple[str, ...]:
    """The kinds of a group that have words."""
    return tuple(_table("questions.toml")[group])


@cache
def small_talk(split: Split) -> tuple[tuple[str, str], ...]:
    """Questions and answers of general medical knowledge; every fifth pair is held out."""
    pairs = [(each["q"], each["a"]) for each in _table("small_talk.toml")["pair"]]
    return tuple(p for n, p in enumerate(pairs) if (n % 5 == 4) == (split == "heldout"))


class Asker:
    """Puts rich questions into words of one split; every choice comes from ``rng``."""

    def __init__(
        self, split: Split, rng: np.random.Generator, register: Register | None = None
    ) -> None:
        self.split: Split = split
        self.rng = rng
        self.register: Register | None = register

    def choose(self, options: tuple[str, ...]) -> str:
        """One of ``options``, uniformly."""
        return options[int(self.rng.integers(len(options)))]

    def whole(self, kind: str, **gaps: str) -> str:
        """A whole question with its gaps filled."""
        return _filled(self.choose(forms("whole", kind, self.split)), gaps)

    def enquiry(self, kind: str, references: list[str], **gaps: str) -> str:
        """A question to be answered in words."""
        filled = _filled(self.choose(forms("enquiry", kind, self.split)), gaps)
        return _referring(filled, references)

    def phrase(self, link: WideLink) -> str:
        """The noun phrase of a relation, with the gaps of its references."""
        return self.substance_phrase(link.kind.value, dict(link.terms))

    def substance_phrase(self, kind: str, gaps: dict[str, str]) -> str:
        """A noun phrase with the gaps ``gaps`` filled."""
        phrase = self.choose(forms("phrase", kind, self.split))
        for gap, value in gaps.items():
            phrase = phrase.replace(f"{{{gap}}}", value)
        return phrase

    def framed(self, phrase: str, references: list[str], *, named: bool = True) -> str:
        """``phrase`` in a frame; without ``named`` the request to leave the name out follows."""
        frame = self.choose(wording.frames(self.split, self.register))
        question = _referring(_capital(frame.replace("{x}", phrase)), references)
        if named:
            return question
        return f"{question} {self.choose(wording.requests_without_name(self.split))}"


def _referring(text: str, references: list[str]) -> str:
    for gap, reference in zip(_GAPS, references, strict=False):
        text = text.replace(gap, reference)
    return _capital(text)


def _filled(text: str, gaps: dict[str, str]) -> str:
    for gap, value in gaps.items():
        text = text.replace(f"{{{gap}}}", value)
    end = "?" if text.split(" ", 1)[0] in _ASKING else "."
    return _capital(text.replace("{end}", end))


def spoken(count: int) -> str:
    """A small number in words."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def listed(parts: list[str]) -> str:
    """Join as in "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def answer_several(targets: list[tuple[str, int]]) -> str:
    """The answer that names its targets: "The liver is [1], the aorta is [2] and …"."""
    verbs = [
        f"the {name} {'are' if wording.is_plural(name) else 'is'} [{n}]" for name, n in targets
    ]
    return _capital(listed(verbs)) + "."


def answer_several_unnamed(numbers: list[int]) -> str:
    """The answer after a request not to name the structures."""
    return f"They are {listed([f'[{n}]' for n in numbers])}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
