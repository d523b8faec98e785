"""One kind of thing that can be segmented, and the relations it can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

INVERSES: Mapping[str, str] = {
    "flows_into": "receives_from",
    "drains": "drained_by",
    "supplies": "supplied_by",
    "encloses": "enclosed_by",
    "superior_to": "inferior_to",
    "anterior_to": "posterior_to",
    "adjacent": "adjacent",
    "articulates_with": "articulates_with",
    "companion": "companion",
}
"""Relations between entities, each with its inverse; a symmetric one is its own inverse."""

SUBSTANCE_KINDS = ("produces", "stores")
"""Relations whose other end is a substance ("bile"), not an entity."""

ENTITY_KINDS = tuple(dict.fromkeys([*INVERSES, *INVERSES.values()]))
"""Every relation between two entities, both directions."""


class SnomedCode(NamedTuple):
    """A SNOMED CT concept as DICOM's code dictionary has it.

    The code names the structure without its side: where `EntityType.laterality` is set, DICOM
    wants the side as a separate modifier.
    """

    value: str
    meaning: str


@dataclass(frozen=True)
class EntityType:
    """One kind of thing that can be segmented.

    Attributes:
        name: canonical name, natural English in lower case ("left kidney"), unique.
        noun: what it is in one or two words, for phrases like "the *vein* that drains …".
        synonyms: medical names, each belonging to this entity only.
        lay: everyday names, each belonging to this entity only.
        labels: further names that label files use; found, but not meant to be shown.
        together: plural names that this entity shares with its counterpart ("kidneys").
        descriptions: noun phrases without article that fit "Segment the …" and do not contain
            any of the entity's names; those of a lateral entity say the side.
        body_region: "abdomen", "thorax", "heart", "brain", "pelvis", "spine", "limb", …
        system: "circulatory", "nervous", "lesion", …
        laterality: the side of the body, None for a structure that has no side.
        pair: name of the contralateral or sibling counterpart.
        part_of: name of the smallest described whole.
        relations: kind to the names at the other end, in both directions (`ENTITY_KINDS`);
            for "produces" and "stores" the ends are substances.
        media: name of an entity that this one flows into, to what flows ("blood", "bile").
        snomed: SNOMED CT code, None where DICOM's dictionary has no fitting one.
    """

    name: str
    noun: str
    descriptions: tuple[str, ...]
    body_region: str
    system: str
    synonyms: tuple[str, ...] = ()
    lay: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    laterality: Literal["left", "right"] | None = None
    pair: str | None = None
    part_of: str | None = None
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    media: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    snomed: SnomedCode | None = None

    @property
    def spoken_names(self) -> tuple[str, ...]:
        """Canonical name, synonyms and lay names, in this order."""
        return (self.name, *self.synonyms, *self.lay)
