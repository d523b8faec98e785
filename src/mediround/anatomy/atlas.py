"""Lookups over all entities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property

from mediround.anatomy.entity import ENTITY_KINDS, SUBSTANCE_KINDS, EntityType
from mediround.anatomy.facts import Fact, derive_facts
from mediround.anatomy.naming import Names
from mediround.anatomy.source import read_entities
from mediround.errors import InputError


class Atlas:
    """Every entity the program knows, with lookups by name and by relation.

    Wherever a method takes a ``name``, any canonical name, synonym, lay name or label does;
    what comes back are canonical names.

    Raises:
        InputError: a ``name`` that no entity has (``find`` returns None instead).
    """

    def __init__(self, entities: Sequence[EntityType]) -> None:
        self._entities = {entity.name: entity for entity in entities}
        self._names = Names(entities)

    def __len__(self) -> int:
        return len(self._entities)

    def __iter__(self) -> Iterator[EntityType]:
        return iter(self._entities.values())

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def __getitem__(self, name: str) -> EntityType:
        entity = self.find(name)
        if entity is None:
            meant = self._names.close_to(name)
            raise InputError(
                f"the atlas has no entity {name!r}",
                expected="a name or synonym of an anatomical entity",
                remedy=f"did you mean {meant!r}?" if meant else "say which side, or use its name",
            )
        return entity

    def find(self, name: str) -> EntityType | None:
        """The entity with this name, synonym, lay name or label; case and hyphens are ignored."""
        return self._names.find(name)

    def names(self) -> tuple[str, ...]:
        """All canonical names."""
        return tuple(self._entities)

    def pair(self, name: str) -> str | None:
        """The counterpart: the other kidney, the other ventricle; None where there is none."""
        return self[name].pair

    def parts(self, name: str) -> tuple[str, ...]:
        """The entities of which this one is the smallest described whole."""
        whole = self[name].name
        return tuple(entity.name for entity in self if entity.part_of == whole)

    def wholes(self, name: str) -> tuple[str, ...]:
        """What the entity is part of, from the smallest whole to the largest."""
        chain: list[str] = []
        whole = self[name].part_of
        while whole is not None:
            chain.append(whole)
            whole = self[whole].part_of
        return tuple(chain)

    def siblings(self, name: str) -> tuple[str, ...]:
        """The other parts of the smallest whole that this entity is part of."""
        entity = self[name]
        if entity.part_of is None:
            return ()
        return tuple(part for part in self.parts(entity.part_of) if part != entity.name)

    def related(self, name: str, kind: str) -> tuple[str, ...]:
        """What the entity flows into, drains, …; substances for "produces" and "stores".

        Raises:
            ValueError: ``kind`` is no relation.
        """
        _check_kind(kind)
        return self[name].relations.get(kind, ())

    def inverse(self, name: str, kind: str) -> tuple[str, ...]:
        """The entities that have relation ``kind`` to ``name``.

        Here ``name`` may be a substance: ``inverse("bile", "stores")`` is the gallbladder.

        Raises:
            ValueError: ``kind`` is no relation.
        """
        _check_kind(kind)
        end = name if kind in SUBSTANCE_KINDS else self[name].name
        return tuple(entity.name for entity in self if end in entity.relations.get(kind, ()))

    def facts(self, name: str) -> tuple[Fact, ...]:
        """The facts whose phrase means this entity."""
        return self._facts_by_subject.get(self[name].name, ())

    def facts_referring_to(self, name: str) -> tuple[Fact, ...]:
        """The facts whose phrase refers to this entity and means another one."""
        object_ = self[name].name
        return tuple(fact for fact in self._facts if fact.object == object_)

    def recognise(self, text: str) -> tuple[str, ...]:
        """Canonical names that a free text mentions, in order, each once.

        The longest name wins ("left atrial appendage" is no left atrium); "the kidneys" and
        "left and right kidney" mention both.
        """
        return self._names.recognise(text)

    @cached_property
    def _facts(self) -> tuple[Fact, ...]:
        return derive_facts(tuple(self))

    @cached_property
    def _facts_by_subject(self) -> dict[str, tuple[Fact, ...]]:
        grouped: dict[str, list[Fact]] = {}
        for fact in self._facts:
            grouped.setdefault(fact.subject, []).append(fact)
        return {subject: tuple(facts) for subject, facts in grouped.items()}


def _check_kind(kind: str) -> None:
    known = (*ENTITY_KINDS, *SUBSTANCE_KINDS)
    if kind not in known:
        raise ValueError(f"unknown relation {kind!r}; known are {', '.join(known)}")


@cache
def load() -> Atlas:
    """The atlas of the package data; read once, then shared."""
    return Atlas(read_entities())
