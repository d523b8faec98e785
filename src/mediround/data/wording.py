"""The words of generated dialogues: queries in many forms, answers in one.

Queries are composed: a frame ("Could you outline {x}, please?") takes a noun phrase ("the
counterpart of {a}"), so a kind of question has frames times phrases surface forms. Frames,
phrases, requests not to name the answer, descriptions and synonyms are each divided into those
that training may use and those held out, which share neither verb nor sentence shape. The words
themselves are data: ``wordings.toml`` and ``descriptions.toml``.

Answers need no variety: one form, so that greedy decoding has one thing to learn.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import numpy as np

from mediround.anatomy import Atlas
from mediround.data.grammar import expand_all
from mediround.data.relations import Link, RelationKind

Split = Literal["train", "heldout"]
Register = Literal["radiologist", "student", "lay"]

REGISTERS: Final[tuple[Register, ...]] = ("radiologist", "student", "lay")
NAME: Final = "name"
DESCRIBE: Final = "describe"
PAIR: Final = "pair"
UNNAMED: Final = "unnamed"

_REFERENCE_FORMS: Final[Mapping[Split, tuple[str, ...]]] = {
    "train": (
        *("[{n}]",) * 8,
        "mask [{n}]",
        "region [{n}]",
        "the mask [{n}]",
        "segment [{n}]",
        "the area [{n}]",
        "structure [{n}]",
        "result [{n}]",
        "object [{n}]",
    ),
    "heldout": ("[{n}]", "[{n}]", "outline [{n}]", "number [{n}]"),
}
_CANONICAL_SHARE: Final = 0.6
_CASUAL_SHARE: Final = 0.1
_SINGULAR_VERB: Final = re.compile(r"\b(?:is|belongs)\b")


@cache
def _table(file: str) -> dict[str, Any]:
    source = resources.files("mediround.data").joinpath(file)
    return tomllib.loads(source.read_text(encoding="utf-8"))


def frames(
    split: Split, register: Register | None = None, *, pair: bool = False
) -> tuple[str, ...]:
    """Sentences with a gap ``{x}`` for a noun phrase, or ``{x}`` and ``{y}`` with ``pair``."""
    table = _table("wordings.toml")["pair_frames" if pair else "frames"][split]
    registers = REGISTERS if register is None else (register,)
    return expand_all(frame for each in registers for frame in table[each])


def phrases(kind: RelationKind, split: Split, fact: str | None = None) -> tuple[str, ...]:
    """Noun phrases with ``{a}`` (and ``{b}``) for the references of a relation.

    Args:
        kind: the relation.
        split: training or held out.
        fact: for ``FACT``, the kind of anatomical fact.

    Returns:
        Empty when no words are known for this fact.
    """
    table = _table("wordings.toml")
    entry = table["fact"].get(fact, {}) if kind is RelationKind.FACT else table[kind.value]
    return expand_all(entry.get(split, ()))


def questions(split: Split) -> tuple[str, ...]:
    """Whole sentences that ask what the reference ``{a}`` is, and so for its name."""
    return expand_all(_table("wordings.toml")["identity_questions"][split])


def requests_without_name(split: Split) -> tuple[str, ...]:
    """Sentences to append when the answer shall not name the structure."""
    return expand_all(_table("wordings.toml")["unnamed"][split])


def wordings(kind: str, split: Split, *, fact: str | None = None) -> tuple[str, ...]:
    """Every surface form of one kind of question, with its gaps.

    Args:
        kind: ``"name"`` (gap ``{name}``), ``"describe"`` (``{description}``), ``"pair"``
            (``{name}`` and ``{other}``), ``"unnamed"`` (no gap) or a :class:`RelationKind`
            (``{a}``, ``{b}``; facts also ``{noun}``, ``{medium}``).
        split: training or held out; no form is in both.
        fact: for ``FACT``, the kind of anatomical fact.
    """
    if kind == UNNAMED:
        return requests_without_name(split)
    if kind == PAIR:
        pairs = frames(split, pair=True)
        return tuple(
            frame.replace("{x}", "the {name}").replace("{y}", "the {other}") for frame in pairs
        )
    if kind in (NAME, DESCRIBE):
        gaps: tuple[str, ...] = ("the {name}" if kind == NAME else "the {description}",)
    else:
        gaps = phrases(RelationKind(kind), split, fact)
    composed = tuple(frame.replace("{x}", gap) for frame in frames(split) for gap in gaps)
    return composed + (questions(split) if kind == RelationKind.IDENTITY else ())


def names(entity: str, split: Split, atlas: Atlas) -> tuple[str, ...]:
    """What the structure may be called besides its canonical name (synonyms, lay names).

    With three or more such names every third is held out; with fewer all serve both splits.
    """
    known = atlas.find(entity)
    if known is None:
        return ()
    unused = {entity, *_table("wordings.toml")["names"]["unused"]}
    others = sorted({*known.synonyms, *known.lay} - unused)
    if len(others) < 3:
        return tuple(others)
    heldout = others[2::3]
    return tuple(n for n in others if (n in heldout) == (split == "heldout"))


def descriptions(entity: str, split: Split, atlas: Atlas) -> tuple[str, ...]:
    """Noun phrases without article that single out ``entity`` without its name; may be empty.

    Structures with an entry in ``descriptions.toml`` take their held-out phrases from there and
    add the atlas's to training; for others every second phrase of the atlas is held out.
    """
    own = _own_descriptions(entity)
    known = atlas.find(entity)
    general = () if known is None else known.descriptions
    if own is None:
        return tuple(general[1::2] if split == "heldout" else general[::2])
    if split == "heldout":
        return own["heldout"]
    extra = (each for each in general if each not in own["heldout"] and each not in own["train"])
    return (*own["train"], *extra)


def _own_descriptions(entity: str) -> dict[str, tuple[str, ...]] | None:
    table = _table("descriptions.toml")
    side, _, unsided = entity.partition(" ")
    entry = table["plain"].get(entity)
    if entry is None and side in ("left", "right"):
        entry = table["sided"].get(unsided)
    if entry is None:
        return None
    return {
        split: tuple(text.replace("{side}", side) for text in entry[split])
        for split in ("train", "heldout")
    }


class Speaker:
    """Puts questions into words of one split; every choice comes from ``rng``."""

    def __init__(self, split: Split, rng: np.random.Generator, atlas: Atlas) -> None:
        self.split: Split = split
        self.rng = rng
        self.atlas = atlas

    def choose(self, options: Sequence[str]) -> str:
        """One of ``options``, uniformly."""
        return options[int(self.rng.integers(len(options)))]

    def name(self, entity: str) -> str:
        """The canonical name or, less often and where there are any, another one."""
        others = names(entity, self.split, self.atlas)
        if not others or self.rng.random() < _CANONICAL_SHARE:
            return entity
        return self.choose(others)

    def references(self, numbers: Sequence[int]) -> list[str]:
        """Markers such as ``mask [2]``, all in one form."""
        form = self.choose(_REFERENCE_FORMS[self.split])
        return [form.format(n=number) for number in numbers]

    def ask_name(self, entity: str) -> str:
        """A question that names ``entity``."""
        return self._casual(self._framed(f"the {self.name(entity)}", is_plural(entity)))

    def ask_description(self, entity: str) -> str | None:
        """A question that describes ``entity``; None when no description is known."""
        options = descriptions(entity, self.split, self.atlas)
        if not options:
            return None
        return self._casual(self._framed(f"the {self.choose(options)}", is_plural(entity)))

    def ask_pair(self, first: str, second: str) -> str:
        """A question that names two structures."""
        frame = self.choose(frames(self.split, pair=True))
        filled = frame.replace("{x}", f"the {self.name(first)}")
        return _capital(filled.replace("{y}", f"the {self.name(second)}"))

    def relation_template(self, link: Link, *, named: bool) -> str:
        """A question with gaps ``{a}``, ``{b}``; without ``named`` it ends with the request."""
        kind = link.kind
        if kind is RelationKind.IDENTITY and named and self.rng.random() < 0.5:
            return self.choose(questions(self.split))
        phrase = self.choose(phrases(kind, self.split, link.fact))
        for gap, term in link.terms:
            phrase = phrase.replace(f"{{{gap}}}", term)
        question = self._framed(phrase, plural=False)
        if named:
            return question
        return f"{question} {self.choose(requests_without_name(self.split))}"

    def _framed(self, phrase: str, plural: bool) -> str:
        options = frames(self.split)
        if plural:
            options = tuple(frame for frame in options if not _SINGULAR_VERB.search(frame))
        return _capital(self.choose(options).replace("{x}", phrase))

    def _casual(self, query: str) -> str:
        """Now and then typed in haste: no capital, no full stop."""
        if self.rng.random() >= _CASUAL_SHARE:
            return query
        return query[0].lower() + query[1:].rstrip(".") if query[1:2].islower() else query


def fill(template: str, references: Sequence[str]) -> str:
    """Put references into the gaps ``{a}`` and ``{b}`` of a question."""
    filled = template.replace("{a}", references[0])
    if len(references) > 1:
        filled = filled.replace("{b}", references[1])
    return _capital(filled)


def is_plural(entity: str) -> bool:
    """Whether the name takes "are": two structures under one name, or a plural noun."""
    return " and " in entity or entity.rpartition(" ")[2] in _PLURALS


_PLURALS: Final = frozenset(
    {"lungs", "kidneys", "ventricles", "vessels", "veins", "nerves", "ribs"}
)


def answer(targets: Sequence[tuple[str, int]]) -> str:
    """The answer that names its targets: "The liver is [1] and the spleen is [2]."."""
    parts = [f"the {name} {'are' if is_plural(name) else 'is'} [{n}]" for name, n in targets]
    return _capital(" and ".join(parts)) + "."


def answer_unnamed(number: int) -> str:
    """The answer after a request not to name the structure."""
    return f"It is [{number}]."


def answer_absent(entity: str) -> str:
    """The honest answer about a structure that the image does not show."""
    verb = "are" if is_plural(entity) else "is"
    return f"There {verb} no {entity} in this image."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
