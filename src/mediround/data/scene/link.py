"""One relation that singles out one structure of an image: its kind, its ends, its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RelationKind(StrEnum):
    """How a target follows from its references."""

    IDENTITY = "identity"
    COUNTERPART = "counterpart"
    SIBLING = "sibling"
    LARGER_OF = "larger_of"
    SMALLER_OF = "smaller_of"
    LEFT_OF = "left_of"
    RIGHT_OF = "right_of"
    IN_FRONT_OF = "in_front_of"
    BEHIND = "behind"
    BETWEEN = "between"
    NEAREST_TO = "nearest_to"
    TOUCHING = "touching"
    SURROUNDS = "surrounds"
    INSIDE = "inside"
    FACT = "fact"


RESEGMENTING = frozenset({RelationKind.IDENTITY, RelationKind.LARGER_OF, RelationKind.SMALLER_OF})
"""Kinds whose target is one of their references: a structure that already has a number."""

FACT_KINDS = frozenset(
    {
        "stores_product_of",
        "produces_content_of",
        "drains",
        "drained_by",
        "supplies",
        "supplied_by",
        "flows_into",
        "receives_from",
        "drainage_ends_in",
        "supply_arises_from",
        "companion",
        "articulates_with",
    }
)
"""Facts of the atlas that hold whatever the image shows; positions are measured instead."""


@dataclass(frozen=True)
class Link:
    """``target`` is the only structure that stands in ``kind`` to ``references``.

    Attributes:
        kind: the relation.
        references: names of the referenced structures: none twice, two for sizes and "between"
            (their order carries no meaning), else one.
        target: name of the structure that answers.
        evidence: the numbers that decided, in pixels and square pixels.
        fact: for ``FACT``, the kind of the anatomical fact.
        terms: for ``FACT``, what its words say besides: the target's noun, what flows.
    """

    kind: RelationKind
    references: tuple[str, ...]
    target: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    fact: str | None = None
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The kind, as rounds record it; for facts, the kind of fact."""
        return self.fact or self.kind.value

    @property
    def question(self) -> tuple[RelationKind, str | None, tuple[tuple[str, str], ...]]:
        """All that the words can tell: links that share it differ in their references alone."""
        return self.kind, self.fact, self.terms
