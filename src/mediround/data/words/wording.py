"""The words of generated dialogues: queries in many forms, answers in one.

:class:`Speaker` puts questions into words, drawing from the tables of
:mod:`mediround.data.words.phrasebook`; a :class:`Voice` says in which language and manner.

Answers need no variety: one form a language, so that greedy decoding has one thing to learn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from mediround.anatomy import Atlas
from mediround.data.scene.link import Link, RelationKind
from mediround.data.words import chinese
from mediround.data.words.phrasebook import (
    DESCRIBE,
    LANGUAGES,
    NAME,
    PAIR,
    REGISTERS,
    Language,
    Register,
    Split,
    descriptions,
    draw_phrase,
    frames,
    names,
    phrases,
    questions,
    reference_forms,
    requests_without_name,
    term,
)
from mediround.data.words.typos import abbreviate, mistype
from mediround.errors import ConfigError

__all__ = [
    "DENIALS",
    "DESCRIBE",
    "LANGUAGES",
    "NAME",
    "PAIR",
    "REGISTERS",
    "Language",
    "Register",
    "Speaker",
    "Split",
    "Voice",
    "answer",
    "answer_absent",
    "answer_unnamed",
    "called",
    "capital",
    "descriptions",
    "draw_phrase",
    "draw_voice",
    "fill",
    "frames",
    "is_plural",
    "names",
    "phrases",
    "questions",
    "requests_without_name",
]

_CANONICAL_SHARE: Final = 0.6
_CASUAL_SHARE: Final = 0.1
_SINGULAR_VERB: Final = re.compile(r"\b(?:is|belongs)\b")
_ALIKE: Final = re.compile(
    r"mirror|same|midline|contralateral|homolog|swapped|match|like|equivalent|corresponds|左右|镜像|同"
)
"""What is said of pairs whose halves look alike, one on each side of the body."""
_PLURALS: Final = frozenset(
    {"lungs", "kidneys", "ventricles", "vessels", "veins", "nerves", "ribs"}
)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How somebody speaks.

    Attributes:
        language: of questions and answers.
        register: who asks; None mixes them from question to question.
        typo_share: questions with a typing error, 0..1.
        abbreviation_share: questions in short forms ("IVC", "pls"), 0..1.
    """

    language: Language = "en"
    register: Register | None = None
    typo_share: float = 0.0
    abbreviation_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("typo_share", "abbreviation_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="0 to 1")


PLAIN: Final = Voice()


def draw_voice(
    rng: np.random.Generator,
    *,
    chinese_share: float = 0.0,
    register_share: float = 0.0,
    typo_share: float = 0.0,
    abbreviation_share: float = 0.0,
) -> Voice:
    """The voice of one dialogue; a share of 0 draws no random number.

    Args:
        rng: the source of every choice.
        chinese_share: dialogues in Chinese, 0..1.
        register_share: dialogues that keep to one register, 0..1.
        typo_share: see :class:`Voice`.
        abbreviation_share: see :class:`Voice`.
    """
    language: Language = "zh" if _happens(rng, chinese_share) else "en"
    keeps = _happens(rng, register_share)
    return Voice(
        language=language,
        register=REGISTERS[int(rng.integers(len(REGISTERS)))] if keeps else None,
        typo_share=typo_share,
        abbreviation_share=abbreviation_share,
    )


class Speaker:
    """Puts questions into words of one split; every choice comes from ``rng``.

    Structures without a Chinese name keep their English one in Chinese questions, as they do in
    Chinese reports.
    """

    def __init__(
        self, split: Split, rng: np.random.Generator, atlas: Atlas, voice: Voice = PLAIN
    ) -> None:
        self.split: Split = split
        self.rng = rng
        self.atlas = atlas
        self.voice = voice

    def choose(self, options: Sequence[str]) -> str:
        """One of ``options``, uniformly."""
        return options[int(self.rng.integers(len(options)))]

    def name(self, entity: str) -> str:
        """The canonical name or, less often and where there are any, another one."""
        voice = self.voice
        others = names(entity, self.split, self.atlas, voice.language, voice.register)
        if not others or self.rng.random() < _CANONICAL_SHARE:
            return called(entity, voice.language)
        return self.choose(others)

    def references(self, numbers: Sequence[int]) -> list[str]:
        """Markers such as ``mask [2]``, all in one form."""
        form = self.choose(reference_forms(self.split, self.voice.language))
        return [form.format(n=number) for number in numbers]

    def ask_name(self, entity: str) -> str:
        """A question that names ``entity``."""
        return self._casual(self._framed(self._the(self.name(entity)), is_plural(entity)))

    def ask_description(self, entity: str) -> str | None:
        """A question that describes ``entity``; None when no description is known."""
        options = descriptions(entity, self.split, self.atlas, self.voice.language)
        if not options:
            return None
        return self._casual(self._framed(self._the(self.choose(options)), is_plural(entity)))

    def ask_pair(self, first: str, second: str) -> str:
        """A question that names two structures."""
        voice = self.voice
        frame = self.choose(frames(self.split, voice.register, pair=True, language=voice.language))
        filled = frame.replace("{x}", self._the(self.name(first)))
        return self.slips(capital(filled.replace("{y}", self._the(self.name(second)))))

    def relation_template(self, link: Link, *, named: bool) -> str:
        """A question with gaps ``{a}``, ``{b}``; without ``named`` it ends with the request."""
        kind, language = link.kind, self.voice.language
        if kind is RelationKind.IDENTITY and named and self.rng.random() < 0.5:
            return self.slips(self.choose(questions(self.split, language)))
        phrase = draw_phrase(kind, self.split, self.rng, link.fact, language)
        if kind is RelationKind.COUNTERPART and self.split == "train":
            phrase = self._fitting_pair(phrase, link.target)
        for gap, word in link.terms:
            phrase = phrase.replace(f"{{{gap}}}", term(word, language))
        return self.request(self._framed(phrase, plural=False), named=named)

    def _fitting_pair(self, phrase: str, target: str) -> str:
        """``phrase``, or one that fits a pair whose halves are not alike: chambers of the heart.

        No further random number is drawn; held-out phrases fit every pair.
        """
        known = self.atlas.find(target)
        if known is None or known.body_region != "heart" or not _ALIKE.search(phrase):
            return phrase
        options = phrases(RelationKind.COUNTERPART, self.split, None, self.voice.language)
        plain = [each for each in options if not _ALIKE.search(each)]
        return plain[options.index(phrase) % len(plain)]

    def request(self, question: str, *, named: bool) -> str:
        """``question``, with slips, and unless ``named`` with the request to leave out the name.

        The request itself has no slips: it decides what the answer may say.
        """
        question = self.slips(question)
        if named:
            return question
        language = self.voice.language
        space = " " if language == "en" else ""
        return f"{question}{space}{self.choose(requests_without_name(self.split, language))}"

    def answer(self, targets: Sequence[tuple[str, int]]) -> str:
        """See :func:`answer`."""
        return answer(targets, self.voice.language)

    def answer_unnamed(self, number: int) -> str:
        """See :func:`answer_unnamed`."""
        return answer_unnamed(number, self.voice.language)

    def answer_absent(self, entity: str) -> str:
        """See :func:`answer_absent`."""
        return answer_absent(entity, self.voice.language)

    def slips(self, text: str) -> str:
        """``text`` with short forms and typing errors, as often as the voice has them."""
        if _happens(self.rng, self.voice.abbreviation_share):
            text = abbreviate(text, self.rng)
        if _happens(self.rng, self.voice.typo_share):
            text = mistype(text, self.rng)
        return text

    def _the(self, phrase: str) -> str:
        return f"the {phrase}" if self.voice.language == "en" else phrase

    def _framed(self, phrase: str, plural: bool) -> str:
        options = _fitting(self.split, self.voice.register, self.voice.language, plural)
        return capital(self.choose(options).replace("{x}", phrase))

    def _casual(self, query: str) -> str:
        """Now and then typed in haste: no capital, no full stop."""
        query = self.slips(query)
        if self.rng.random() >= _CASUAL_SHARE:
            return query
        if self.voice.language == "zh":
            return query.rstrip("。")
        return query[0].lower() + query[1:].rstrip(".") if query[1:2].islower() else query


def fill(template: str, references: Sequence[str]) -> str:
    """Put references into the gaps ``{a}`` and ``{b}`` of a question."""
    filled = template.replace("{a}", references[0])
    if len(references) > 1:
        filled = filled.replace("{b}", references[1])
    return capital(filled)


def is_plural(entity: str) -> bool:
    """Whether the name takes "are": two structures under one name, or a plural noun."""
    return " and " in entity or entity.rpartition(" ")[2] in _PLURALS


def answer(targets: Sequence[tuple[str, int]], language: Language = "en") -> str:
    """The answer that names its targets: "The liver is [1] and the spleen is [2]."."""
    if language == "zh":
        said = [f"{called(name, language)}是 [{n}]" for name, n in targets]
        return "，".join(said) + "。"
    parts = [f"the {name} {'are' if is_plural(name) else 'is'} [{n}]" for name, n in targets]
    return capital(" and ".join(parts)) + "."


def answer_unnamed(number: int, language: Language = "en") -> str:
    """The answer after a request not to name the structure."""
    return f"It is [{number}]." if language == "en" else f"是 [{number}]。"


DENIALS = ("There is no ", "There are no ")
"""How :func:`answer_absent` begins in English."""


def answer_absent(entity: str, language: Language = "en") -> str:
    """The honest answer about a structure that the image does not show."""
    if language == "zh":
        return f"图像中没有{called(entity, language)}。"
    verb = "are" if is_plural(entity) else "is"
    return f"There {verb} no {entity} in this image."


@cache
def _fitting(
    split: Split, register: Register | None, language: Language, plural: bool
) -> tuple[str, ...]:
    options = frames(split, register, language=language)
    if not plural:
        return options
    return tuple(frame for frame in options if not _SINGULAR_VERB.search(frame))


def called(entity: str, language: Language) -> str:
    """What the structure is usually called: in English its canonical name."""
    known = chinese.names(entity) if language == "zh" else ()
    return known[0] if known else entity


def _happens(rng: np.random.Generator, share: float) -> bool:
    return share > 0 and bool(rng.random() < share)


def capital(text: str) -> str:
    """``text`` with a capital at its beginning."""
    return text[:1].upper() + text[1:]
