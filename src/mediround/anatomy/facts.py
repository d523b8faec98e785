"""Sentences that single out one entity by its relation to another one.

A fact answers "which entity is meant by *the vein that drains [1]*, when [1] is the liver?".
Its phrase is a template: ``{object}`` is where the reference goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mediround.anatomy.entity import EntityType

_PHRASES: Mapping[str, str] = {
    "drains": "the {noun} that drains {object}",
    "drained_by": "the {noun} that is drained by {object}",
    "supplies": "the {noun} that supplies {object}",
    "supplied_by": "the {noun} that is supplied by {object}",
    "encloses": "the {noun} that encloses {object}",
    "enclosed_by": "the {noun} that is enclosed by {object}",
    "superior_to": "the {noun} directly above {object}",
    "inferior_to": "the {noun} directly below {object}",
    "anterior_to": "the {noun} directly in front of {object}",
    "posterior_to": "the {noun} directly behind {object}",
    "articulates_with": "the {noun} that forms a joint with {object}",
    "companion": "the {noun} that runs alongside {object}",
    "adjacent": "the {noun} next to {object}",
}
_FLOWS: Mapping[str, str] = {
    "flows_into": "the {noun} that passes {medium} on to {object}",
    "receives_from": "the {noun} that receives {medium} from {object}",
}
_PART = "the {noun} that belongs to {object}"
_WHOLE = "the {noun} that {object} belongs to"
_COUNTERPART = "the counterpart of {object}"
_OTHER_SIDE = "the counterpart of {object} on the other side"
_ONLY_SIBLING = "the other {noun} of the {whole} besides {object}"
_ANY_SIBLING = "another {noun} of the {whole} besides {object}"
_STORES_PRODUCT = "the {noun} that stores what {object} produces"
_PRODUCES_STORED = "the {noun} that produces what {object} stores"
_DRAINAGE_ENDS = "the {noun} into which the vein that drains {object} empties"
_SUPPLY_ARISES = "the {noun} from which the artery that supplies {object} arises"

_LARGEST_FAMILY = 6
"""Beyond this many parts of one kind (ribs, vertebrae) "another … of" says nothing."""


@dataclass(frozen=True)
class Fact:
    """``subject`` is what ``phrase`` means once ``object`` is put in.

    Attributes:
        kind: the relation of the subject to the object: a relation kind, or "part_of",
            "has_part", "pair", "sibling", "stores_product_of", "produces_content_of",
            "drainage_ends_in", "supply_arises_from".
        subject: canonical name of the entity that the phrase means.
        object: canonical name of the entity that the phrase refers to.
        phrase: template with one ``{object}``.
        unique: no other entity fits the same phrase about the same object. Never true for
            "adjacent": the data do not list every neighbour.
    """

    kind: str
    subject: str
    object: str
    phrase: str
    unique: bool

    def about(self, reference: str) -> str:
        """The phrase with ``reference`` ("[1]", "the liver") in the object's place."""
        return self.phrase.replace("{object}", reference)


_Draft = tuple[str, str, str, str]
"""Kind, subject, object, phrase."""


def derive_facts(entities: Sequence[EntityType]) -> tuple[Fact, ...]:
    """Every fact about ``entities``, grouped by subject in the order given."""
    by_name = {entity.name: entity for entity in entities}
    drafts = list(
        dict.fromkeys(
            draft
            for entity in entities
            for source in (_direct, _parts, _pairs, _stores, _circulation)
            for draft in source(entity, by_name)
        )
    )
    meanings = {(subject, object_, phrase) for _, subject, object_, phrase in drafts}
    fitting = Counter((object_, phrase) for _, object_, phrase in meanings)
    return tuple(
        Fact(
            kind,
            subject,
            object_,
            phrase,
            unique=kind != "adjacent" and fitting[object_, phrase] == 1,
        )
        for kind, subject, object_, phrase in drafts
    )


def _say(template: str, noun: str, **parts: str) -> str:
    return template.format(noun=noun, object="{object}", **parts)


def _direct(entity: EntityType, by_name: Mapping[str, EntityType]) -> Iterator[_Draft]:
    for kind, template in _PHRASES.items():
        for other in entity.relations.get(kind, ()):
            yield kind, entity.name, other, _say(template, entity.noun)
    for kind, template in _FLOWS.items():
        for other in entity.relations.get(kind, ()):
            downhill = kind == "flows_into"
            media = entity.media[other] if downhill else by_name[other].media[entity.name]
            for medium in media:
                yield kind, entity.name, other, _say(template, entity.noun, medium=medium)


def _parts(entity: EntityType, by_name: Mapping[str, EntityType]) -> Iterator[_Draft]:
    """The entity as part, as whole and as one part among several of its kind."""
    for part in by_name.values():
        if part.part_of == entity.name:
            yield "has_part", entity.name, part.name, _say(_WHOLE, entity.noun)
    if entity.part_of is None:
        return
    yield "part_of", entity.name, entity.part_of, _say(_PART, entity.noun)
    family = [
        other.name
        for other in by_name.values()
        if other.part_of == entity.part_of and other.noun == entity.noun
    ]
    template = _ONLY_SIBLING if len(family) == 2 else _ANY_SIBLING
    if len(family) <= _LARGEST_FAMILY:
        for name in family:
            if name not in (entity.name, entity.pair):
                phrase = _say(template, entity.noun, whole=entity.part_of)
                yield "sibling", entity.name, name, phrase


def _pairs(entity: EntityType, _: Mapping[str, EntityType]) -> Iterator[_Draft]:
    if entity.pair is None:
        return
    two_sided = {entity.name.split()[0], entity.pair.split()[0]} == {"left", "right"}
    template = _OTHER_SIDE if entity.laterality or two_sided else _COUNTERPART
    yield "pair", entity.name, entity.pair, template


def _stores(entity: EntityType, by_name: Mapping[str, EntityType]) -> Iterator[_Draft]:
    """Two relations in a row: the gallbladder stores the bile that the liver produces."""
    for kind, own, opposite, template in (
        ("stores_product_of", "stores", "produces", _STORES_PRODUCT),
        ("produces_content_of", "produces", "stores", _PRODUCES_STORED),
    ):
        substances = set(entity.relations.get(own, ()))
        for other in by_name.values():
            if other is not entity and substances & set(other.relations.get(opposite, ())):
                yield kind, entity.name, other.name, _say(template, entity.noun)


def _circulation(entity: EntityType, by_name: Mapping[str, EntityType]) -> Iterator[_Draft]:
    """Where the vein of an organ empties, and where the artery of an organ arises."""
    for name in entity.relations.get("receives_from", ()):
        vein = by_name[name]
        if "blood" in vein.media[entity.name]:
            for organ in vein.relations.get("drains", ()):
                if organ != entity.name:
                    phrase = _say(_DRAINAGE_ENDS, entity.noun)
                    yield "drainage_ends_in", entity.name, organ, phrase
    for name in entity.relations.get("flows_into", ()):
        artery = by_name[name]
        if "blood" in entity.media[name]:
            for organ in artery.relations.get("supplies", ()):
                if organ != entity.name:
                    phrase = _say(_SUPPLY_ARISES, entity.noun)
                    yield "supply_arises_from", entity.name, organ, phrase
