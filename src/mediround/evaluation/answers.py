"""Whether an answer in words says what the annotated one says: side, size, count, name, yes or no.

Not the wording is compared but what it claims. Every kind of claim that the annotated answer makes
must be made by the answer too, and agree; what the answer says besides is ignored, except that it
may not take both sides of a question. Of several structures the one that is named first counts:
"the liver, with 11 times the area of the spleen" says that the liver is larger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mediround import anatomy
from mediround.data.words import chinese
from mediround.dialogue import MARKER, markers

SIZE_TOLERANCE = 0.25
"""Relative error up to which a measured size counts as right."""

_WORDS = (
    "no none zero",
    "one a single",
    "two both",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
)
_COUNTS = {word: count for count, words in enumerate(_WORDS) for word in words.split()}
_NUMBER_WORDS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
_MEASURE = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(%|per ?cent|percent|mm²|cm²|mm2|cm2|square \w+|mm|cm|pixels?|px)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d]|[.,]\d)")
_RATIO = re.compile(r"\d+(?:[.,]\d+)?\s+times\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(left|right|front|behind|above|below|upper|lower|middle|inside|outside)\b", re.IGNORECASE
)
_YES_NO = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)
_IN_ENGLISH = (
    (re.compile(r"(约|大约)?\s*(\d+(?:\.\d+)?)\s*倍"), r" \2 times "),
    (re.compile(r"平方厘米"), " cm2 "),
    (re.compile(r"像素"), " pixels "),
    (re.compile(r"从患者角度看|两者|目前"), " "),
    *(
        (re.compile(words), f" {said} ")
        for words, said in (
            ("左上", "upper left"),
            ("右上", "upper right"),
            ("左下", "lower left"),
            ("右下", "lower right"),
            ("^(是的|对|有)", "yes"),
            ("^(没有|不是|否)", "no"),
            ("左", "left"),
            ("右", "right"),
            ("前", "front"),
            ("后", "behind"),
            ("上", "above"),
            ("下", "below"),
            ("中央|中间|正中", "middle"),
            ("一整块|一块|一个", "one"),
            ("两|二", "two"),
            ("三", "three"),
            ("四", "four"),
            ("五", "five"),
            ("六", "six"),
            ("七", "seven"),
            ("八", "eight"),
            ("九", "nine"),
        )
    ),
)
"""What Chinese answers say, in the English words that claims are read from; in this order."""


@dataclass(frozen=True)
class Claims:
    """What a sentence says, as far as it can be compared."""

    places: frozenset[str]
    sizes: tuple[tuple[float, str], ...]
    counts: frozenset[int]
    name: str | None
    masks: frozenset[int]
    verdict: str | None

    @classmethod
    def of(cls, text: str) -> Claims:
        """Read ``text``."""
        bare = MARKER.sub(" ", text)
        names = anatomy.load().recognise(bare)
        if chinese.is_chinese(bare):
            names = chinese.recognise(bare)
            bare = _in_english("" if names else bare) or _figures_of(bare)
        sizes = tuple(
            (float(number.replace(",", ".")), _unit(unit))
            for number, unit in _MEASURE.findall(bare)
        )
        rest = _RATIO.sub(" ", _MEASURE.sub(" ", bare))
        counts = {int(number) for number in _NUMBER.findall(rest)}
        words = {word for word in re.findall(r"[a-z]+", rest.lower()) if word in _NUMBER_WORDS}
        verdict = _YES_NO.match(bare)
        return cls(
            # "The left kidney" is a name, not a place.
            places=frozenset(() if names else map(str.lower, _PLACE.findall(bare))),
            sizes=sizes,
            counts=frozenset(counts | {_COUNTS[word] for word in words}),
            name=names[0] if names else None,
            masks=frozenset(markers(text)),
            verdict=None if verdict is None else verdict.group(1).lower(),
        )

    @property
    def any(self) -> bool:
        """Whether it claims anything at all."""
        told = (self.places, self.sizes, self.counts, self.masks, self.name, self.verdict)
        return any(map(bool, told))


def _in_english(text: str) -> str:
    """The claims of a Chinese sentence that names no structure, in English words."""
    for pattern, said in _IN_ENGLISH:
        text = pattern.sub(said, text)
    return text


def _figures_of(text: str) -> str:
    """A Chinese sentence about named structures, without the characters of their names."""
    return re.sub(r"[\u4e00-\u9fff]+", " ", re.sub(r"\d+(?:\.\d+)?\s*倍", " ", text))


def agrees(answer: str, expected: str) -> bool | None:
    """Whether ``answer`` claims what ``expected`` does; None where that claims nothing (talk).

    Markers ``[n]`` of both must count alike.
    """
    wanted, said = Claims.of(expected), Claims.of(answer)
    if not wanted.any:
        return None
    if wanted.sizes and not _same_sizes(said.sizes, wanted.sizes):
        return False
    pairs = (
        (said.places, wanted.places),
        (said.counts, wanted.counts),
        (said.name, wanted.name),
        (said.masks, wanted.masks),
    )
    if any(there and own != there for own, there in pairs):
        return False
    return wanted.verdict is None or said.verdict == wanted.verdict


def _same_sizes(said: tuple[tuple[float, str], ...], wanted: tuple[tuple[float, str], ...]) -> bool:
    return len(said) == len(wanted) and all(
        unit == there and abs(value - true) <= SIZE_TOLERANCE * true
        for (value, unit), (true, there) in zip(said, wanted, strict=True)
    )


def _unit(text: str) -> str:
    plain = text.lower().replace("²", "2")
    if plain.startswith("square"):
        plain = {"c": "cm2", "m": "mm2"}.get(plain.removeprefix("square ")[:1], plain)
    if plain.startswith("per"):
        return "%"
    return "pixel" if plain.startswith("p") else plain
