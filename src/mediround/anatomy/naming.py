"""Names in running text: from words to entities.

Case, accents, hyphens, possessives and British or American spelling make no difference; a
name never stretches over punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from mediround.anatomy.entity import EntityType

_SPELLINGS = (
    ("oesoph", "esoph"),
    ("oedema", "edema"),
    ("tumour", "tumor"),
    ("caec", "cec"),
    ("coeliac", "celiac"),
    ("haem", "hem"),
    ("grey", "gray"),
    ("fibre", "fiber"),
    ("centre", "center"),
)
_BREAK = "|"
_WORD_OR_BREAK = re.compile(r"[^\W_]+|[^\w\s\-]|\n")


@lru_cache(maxsize=4096)  # the same few hundred names are looked up again and again
def words(text: str) -> tuple[str, ...]:
    """``text`` as comparable words; punctuation and line ends become a break ``"|"``."""
    # Twice: decomposing a letter such as a mathematical A may bring a new capital to light.
    plain = text
    for _ in range(2):
        plain = unicodedata.normalize("NFKD", plain.casefold())
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
    plain = re.sub(r"['’]s\b", "", plain)
    for british, american in _SPELLINGS:
        plain = plain.replace(british, american)
    found: list[str] = _WORD_OR_BREAK.findall(plain)
    return tuple(word if word.isalnum() else _BREAK for word in found)


class Names:
    """Finds names of entities, exactly or in running text.

    Raises:
        AssertionError: two entities of the package data claim the same name.
    """

    def __init__(self, entities: Iterable[EntityType]) -> None:
        self._exact: dict[tuple[str, ...], EntityType] = {}
        self._spoken: dict[tuple[str, ...], tuple[str, ...]] = {}
        for entity in entities:
            for name in entity.spoken_names:
                self._claim(name, entity)
                self._spoken[words(name)] = (entity.name,)
            for label in (*entity.labels, *_side_last(entity)):
                self._claim(label, entity)
            for plural in _collectives(entity):
                both = self._spoken.get(words(plural), ())
                self._spoken[words(plural)] = tuple(dict.fromkeys((*both, entity.name)))
        self._longest = max((len(key) for key in self._spoken), default=0)

    def _claim(self, name: str, entity: EntityType) -> None:
        owner = self._exact.setdefault(words(name), entity)
        assert owner is entity, f"{name!r} names both {owner.name!r} and {entity.name!r}"

    def find(self, name: str) -> EntityType | None:
        """The entity of which ``name`` is a name or a label."""
        return self._exact.get(words(name))

    def close_to(self, name: str) -> str | None:
        """The canonical name that ``name`` was probably meant to be."""
        import difflib  # only an error needs it

        known = {" ".join(key): entity.name for key, entity in self._exact.items()}
        matches = difflib.get_close_matches(" ".join(words(name)), known, n=1)
        return known[matches[0]] if matches else None

    def recognise(self, text: str) -> tuple[str, ...]:
        """Canonical names mentioned in ``text``, in order, each once; the longest name wins."""
        text_words = words(text)
        mentioned: list[str] = []
        start = 0
        while start < len(text_words):
            for length in range(min(self._longest, len(text_words) - start), 0, -1):
                names = self._spoken.get(text_words[start : start + length])
                if names is not None:
                    mentioned.extend(names)
                    start += length
                    break
            else:
                start += 1
        return tuple(dict.fromkeys(mentioned))


def _side_last(entity: EntityType) -> list[str]:
    """Label files often write the side last ("kidney_left")."""
    side = entity.laterality
    if side is None:
        return []
    names = (entity.name, *entity.synonyms)
    return [f"{name[len(side) + 1 :]} {side}" for name in names if name.startswith(f"{side} ")]


def _collectives(entity: EntityType) -> list[str]:
    """What names this entity and its counterpart at once."""
    side, plurals = entity.laterality, list(entity.together)
    if side is None or entity.pair is None:
        return plurals
    for name in entity.spoken_names:
        if name.startswith(f"{side} "):
            base = name[len(side) + 1 :]
            plurals += [f"{order} {base}" for order in ("left and right", "right and left")]
    return plurals
