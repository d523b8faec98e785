"""The tables of words: frames, phrases, names and descriptions, by language and by split.

Queries are composed: a frame ("Could you outline {x}, please?") takes a noun phrase ("the
counterpart of {a}"), so a kind of question has frames times phrases surface forms. Everything is
divided into what training may use and what is held out; the two share neither verb nor sentence
shape. The words themselves are data, ``wordings*.toml`` and ``descriptions*.toml``, whose entries
are patterns of :mod:`mediround.data.words.grammar`. For relations there are *fresh* phrases too,
``fresh.toml``, of a hand that saw neither.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any, Final, Literal

import numpy as np

from mediround.anatomy import Atlas
from mediround.data.words import chinese
from mediround.data.words.grammar import expand, expand_all

Split = Literal["train", "heldout", "fresh"]
"""Which words; ``fresh``: fresh phrases for relations, held-out words for all else."""
Language = Literal["en", "zh"]
Register = Literal["radiologist", "student", "lay"]

REGISTERS: Final[tuple[Register, ...]] = ("radiologist", "student", "lay")
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
NAME: Final = "name"
DESCRIBE: Final = "describe"
PAIR: Final = "pair"
FACT: Final = "fact"

_WORDINGS: Final = {"en": "wordings.toml", "zh": "wordings.zh.toml"}
_DESCRIPTIONS: Final = {"en": "descriptions.toml", "zh": "descriptions.zh.toml"}
_FRESH: Final = "fresh.toml"
_BESIDE: Final = {"left_of": "left", "right_of": "right"}
"""Relations that share their words, all but the side."""
_SIDES: Final = {"en": {"left": "left", "right": "right"}, "zh": {"left": "左", "right": "右"}}


@cache
def _table(file: str) -> dict[str, Any]:
    source = resources.files("mediround.data.words").joinpath(file)
    return tomllib.loads(source.read_text(encoding="utf-8"))


def halved(split: Split) -> Literal["train", "heldout"]:
    """Where the words of ``split`` stand that are only divided in two."""
    return "train" if split == "train" else "heldout"


@cache
def frames(
    split: Split,
    register: Register | None = None,
    *,
    pair: bool = False,
    language: Language = "en",
) -> tuple[str, ...]:
    """Sentences with a gap ``{x}`` for a noun phrase, or ``{x}`` and ``{y}`` with ``pair``.

    Args:
        split: training or held out.
        register: how a person of this kind asks; None for all.
        pair: for two structures.
        language: English gaps stand at the end, so that phrases with a comma read well.
    """
    table = _table(_WORDINGS[language])["pair_frames" if pair else "frames"][halved(split)]
    registers = REGISTERS if register is None else (register,)
    return expand_all(frame for each in registers for frame in table[each])


@cache
def patterns(
    kind: str, split: Split, fact: str | None = None, language: Language = "en"
) -> tuple[tuple[str, ...], ...]:
    """Noun phrases with ``{a}`` (and ``{b}``) for the references of a relation, by pattern.

    Args:
        kind: the relation.
        split: of fresh phrases those that training does not say too; kinds without any, and
            Chinese, have the held-out ones.
        fact: for the kind "fact", which anatomical fact.
        language: of the words.

    Returns:
        Empty when no words are known for this kind or fact.
    """
    if split == "fresh" and language == "en" and kind in _table(_FRESH):
        known = frozenset(phrases(kind, "train"))
        return tuple((each,) for each in _table(_FRESH)[kind] if each not in known)
    table = _table(_WORDINGS[language])
    relation, said = str(kind), ""  # a member of an enumeration has its value for text
    if relation in _BESIDE:
        relation, said = "beside", _SIDES[language][_BESIDE[relation]]
    entry = table["fact"].get(fact, {}) if relation == FACT else table.get(relation, {})
    return tuple(expand(each.replace("{side}", said)) for each in entry.get(halved(split), ()))


@cache
def phrases(
    kind: str, split: Split, fact: str | None = None, language: Language = "en"
) -> tuple[str, ...]:
    """The phrases of all :func:`patterns`, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(patterns(kind, split, fact, language))))


def draw_phrase(
    kind: str,
    split: Split,
    rng: np.random.Generator,
    fact: str | None = None,
    language: Language = "en",
) -> str:
    """One of :func:`phrases`: all patterns alike, however many phrases one stands for."""
    known = patterns(kind, split, fact, language)
    drawn = known[int(rng.integers(len(known)))]
    return drawn[0] if len(drawn) == 1 else drawn[int(rng.integers(len(drawn)))]


@cache
def all_phrases(split: Split, language: Language = "en") -> tuple[str, ...]:
    """The noun phrases of every relation and every fact."""
    table = _table(_WORDINGS[language])
    entries = [*table["fact"].values(), *(e for e in table.values() if _is_relation(e))]
    return expand_all(
        phrase.replace("{side}", side)
        for entry in entries
        for phrase in entry.get(halved(split), ())
        for side in _SIDES[language].values()
    )


@cache
def questions(split: Split, language: Language = "en") -> tuple[str, ...]:
    """Whole sentences that ask what the reference ``{a}`` is, and so for its name."""
    return expand_all(_table(_WORDINGS[language])["identity_questions"][halved(split)])


@cache
def requests_without_name(split: Split, language: Language = "en") -> tuple[str, ...]:
    """Sentences to append when the answer shall not name the structure."""
    return expand_all(_table(_WORDINGS[language])["unnamed"][halved(split)])


@cache
def reference_forms(split: Split, language: Language = "en") -> tuple[str, ...]:
    """How a mask is referred to, with the gap ``{n}``; frequent forms occur several times."""
    return tuple(_table(_WORDINGS[language])["references"][halved(split)])


def term(word: str, language: Language) -> str:
    """What a noun ("vein") or a medium ("blood") of a fact is called in ``language``."""
    return word if language == "en" else str(_table(_WORDINGS[language])["terms"][word])


@cache
def names(
    entity: str,
    split: Split,
    atlas: Atlas,
    language: Language = "en",
    register: Register | None = None,
) -> tuple[str, ...]:
    """What the structure may be called besides its canonical name (synonyms, lay names).

    With three or more such names every third is held out; with fewer all serve both splits. A
    radiologist does not use lay names, and a lay person prefers them.
    """
    if language == "zh":
        others = list(chinese.names(entity)[1:])
        lay: frozenset[str] = frozenset()
    else:
        known = atlas.find(entity)
        if known is None:
            return ()
        unused = {entity, *_table("wordings.toml")["names"]["unused"]}
        others = sorted({*known.synonyms, *known.lay} - unused)
        lay = frozenset(known.lay)
    if len(others) >= 3:
        heldout = others[2::3]
        others = [n for n in others if (n in heldout) == (split != "train")]
    if register == "radiologist":
        return tuple(n for n in others if n not in lay)
    if register == "lay" and lay.intersection(others):
        return tuple(n for n in others if n in lay)
    return tuple(others)


@cache
def descriptions(
    entity: str, split: Split, atlas: Atlas, language: Language = "en"
) -> tuple[str, ...]:
    """Noun phrases without article that single out ``entity`` without its name; may be empty.

    Structures with an entry in the table of descriptions take their held-out phrases from there
    and, in English, add the atlas's to training; for others every second phrase of the atlas is
    held out. In Chinese there are no others.
    """
    own = _own_descriptions(entity, language)
    known = atlas.find(entity) if language == "en" else None
    general = () if known is None else known.descriptions
    if own is None:
        return tuple(general[1::2] if split != "train" else general[::2])
    if split != "train":
        return own["heldout"]
    extra = (each for each in general if each not in own["heldout"] and each not in own["train"])
    return (*own["train"], *extra)


def _is_relation(entry: dict[str, Any]) -> bool:
    phrases_of = entry.get("train")
    return isinstance(phrases_of, list) and any("{a}" in each for each in phrases_of)


def _own_descriptions(entity: str, language: Language) -> dict[str, tuple[str, ...]] | None:
    table = _table(_DESCRIPTIONS[language])
    side, _, unsided = entity.partition(" ")
    entry, said = table["plain"].get(entity), _SIDES[language].get(side)
    if entry is None and said is not None:
        entry = table["sided"].get(unsided)
    if entry is None:
        return None
    return {
        split: tuple(text.replace("{side}", said or "") for text in expand_all(entry[split]))
        for split in ("train", "heldout")
    }
