"""Which structures of a head a question speaks of, by their names or by what is said of them."""

import re
from collections.abc import Sequence
from functools import cached_property
from math import exp, log

from mediround import anatomy
from mediround.anatomy.naming import words
from mediround.data.words.phrasebook import descriptions
from mediround.session.literal import request_words

_SIDES = ("left", "right")
_SIDED = re.compile(rf"^(?:{'|'.join(_SIDES)}) ")
_BESIDE = (
    r"(?:between|under|beneath|beside|behind|above|below|along|inside|within|around|against|near"
    r"|in front of|(?:next|lateral|medial|close|adjacent|anterior|posterior) to) "
)
"""What stands before a name that only says where something else lies."""
_STEM = 5
"""Letters by which words are compared."""
_FUNCTION_WORDS = frozenset(
    {"and", "are", "by", "from", "into", "its", "left", "on", "or", "right", "side", "sided"}
    | {"that", "which", "whose", "with", "within"}
)
_FEWEST = 2
"""Words of descriptions that make one."""
_SEEN = 0.3
"""Descriptions in which a word is thought to have been seen beside those that are known."""


class HeadWords:
    """Reads questions about ``names``, canonical names of structures."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def meant(self, question: str) -> tuple[list[str], float]:
        """What ``question`` asks for, both of a pair where no side is said.

        Any names of the atlas; where there are none, which of ``names`` it describes.

        Returns:
            Structures, and how likely they are meant, 0..1.
        """
        named = self._named(question)
        return (named, 1.0) if named else self._described(question)

    def _named(self, question: str) -> list[str]:
        """By their names; one that only says where something lies is left out."""
        anywhere = "|".join(self._called)
        place = rf"(?:the )?(?:left |right )?(?:{anywhere})\b"
        beside = _BESIDE if "between" not in words(question) else rf"(?:{_BESIDE}|\band )"
        asked = re.sub(rf"\b{beside}{place}", " ", question, flags=re.IGNORECASE)
        named = [*anatomy.load().recognise(asked)]
        for called, names in self._called.items():
            if re.search(rf"\b{called}\b", asked, re.IGNORECASE) and not {*named} & {*names}:
                named += names
        return named

    def _described(self, question: str) -> tuple[list[str], float]:
        """Naive Bayes over the words of known descriptions (binarised, all alike likely)."""
        _, _, thing = question.partition(" the ")  # what stands before that is the request
        heard = (_stems(text) & self._telling.keys() for text in (thing, question))
        said = next((sorted(each) for each in heard if len(each) >= _FEWEST), None)
        if said is None:
            return [], 0.0
        likelihoods = {
            plain: sum(log(_share(told, word) / self._telling[word]) for word in said)
            for plain, told in self._told.items()
        }
        plain = max(likelihoods, key=lambda each: likelihoods[each])
        certainty = 1 / sum(exp(each - likelihoods[plain]) for each in likelihoods.values())
        sides = {*_SIDES} & {*words(question)} or {*_SIDES}
        found = [name for name in self.names if _SIDED.sub("", name) == plain]
        return [n for n in found if n == plain or n.split()[0] in sides], certainty

    @cached_property
    def _called(self) -> dict[str, list[str]]:
        """Names and synonyms without their side, the longest first -> the structures."""
        atlas = anatomy.load()
        meant: dict[str, list[str]] = {}
        for name in self.names:
            for called in (name, *atlas[name].synonyms):
                plain = re.escape(_SIDED.sub("", called))
                meant[plain] = [*dict.fromkeys([*meant.get(plain, []), name])]
        return dict(sorted(meant.items(), key=lambda item: -len(item[0])))

    @cached_property
    def _told(self) -> dict[str, list[frozenset[str]]]:
        """Structures without their side -> the words of each description."""
        atlas = anatomy.load()
        told: dict[str, list[frozenset[str]]] = {}
        for name in self.names:
            plain = _SIDED.sub("", name)
            if plain not in told:
                told[plain] = [_stems(each) for each in descriptions(name, "train", atlas)]
        return told

    @cached_property
    def _telling(self) -> dict[str, float]:
        """Words of descriptions -> the share of all descriptions that hold them."""
        everything = [text for told in self._told.values() for text in told]
        return {word: _share(everything, word) for word in frozenset().union(*everything)}


def _share(texts: Sequence[frozenset[str]], word: str) -> float:
    return (sum(word in text for text in texts) + _SEEN) / (len(texts) + 10 * _SEEN)


def _stems(text: str) -> frozenset[str]:
    plain = {*words(text)} - _FUNCTION_WORDS - request_words()
    return frozenset(word[:_STEM] for word in plain)
