"""A dialogue while it is written: what has been shown and named, and what can be asked next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mediround.anatomy import Atlas
from mediround.data import wording
from mediround.data.relations import RESEGMENTING, Link, RelationKind, Scene
from mediround.data.wording import Speaker, Split
from mediround.dialogue import Entity, Relation, Round
from mediround.errors import ConfigError

KIND_WEIGHTS: Mapping[RelationKind, float] = {
    RelationKind.IDENTITY: 3.0,
    RelationKind.COUNTERPART: 3.0,
    RelationKind.SIBLING: 3.0,
    RelationKind.LARGER_OF: 0.7,
    RelationKind.SMALLER_OF: 0.7,
    RelationKind.LEFT_OF: 1.5,
    RelationKind.RIGHT_OF: 1.5,
    RelationKind.IN_FRONT_OF: 2.0,
    RelationKind.BEHIND: 2.0,
    RelationKind.BETWEEN: 4.0,
    RelationKind.NEAREST_TO: 1.0,
    RelationKind.TOUCHING: 1.0,
    RelationKind.SURROUNDS: 1.0,
    RelationKind.INSIDE: 1.0,
    RelationKind.FACT: 2.0,
}
"""How often a kind is drawn when it is available, relative to the others."""

FAR_REGIONS: Mapping[str, frozenset[str]] = {
    "abdomen": frozenset({"brain"}),
    "thorax": frozenset({"brain", "pelvis"}),
    "trunk": frozenset({"brain"}),
    "heart": frozenset({"brain", "pelvis"}),
    "pelvis": frozenset({"brain", "heart"}),
    "limb": frozenset({"brain", "heart", "abdomen"}),
    "brain": frozenset({"abdomen", "thorax", "heart", "pelvis"}),
}
"""Regions of the body that an image of a region cannot show, neighbours left out on purpose."""

UNNEEDED_WEIGHT = 0.15  # of a link whose words alone give the answer away in this image


@dataclass(frozen=True, kw_only=True)
class DialogueSettings:
    """The mixture of a set of dialogues; shares are probabilities, 0..1.

    Attributes:
        max_rounds: rounds are drawn uniformly from 1 to this.
        wording_split: which words may be used.
        given_share: dialogues that begin with 1 to 3 masks without text.
        reference_share: rounds that use a reference, where one can be used.
        describe_share: of single new targets, those described instead of named.
        two_target_share: rounds without reference that ask for two structures.
        absent_share: rounds without reference that ask for what is not there.
        unnamed_share: rounds with reference whose answer shall not name the structure.
        min_pixels: structures smaller than this are neither asked for nor referred to.
    """

    max_rounds: int = 5
    wording_split: Split = "train"
    given_share: float = 0.35
    reference_share: float = 0.85
    describe_share: float = 0.4
    two_target_share: float = 0.3
    absent_share: float = 0.08
    unnamed_share: float = 0.5
    min_pixels: int = 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_share") and not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}", expected="a share from 0 to 1")
        if self.max_rounds < 1 or self.min_pixels < 1:
            raise ConfigError(
                f"max_rounds is {self.max_rounds} and min_pixels is {self.min_pixels}",
                expected="at least 1 for both",
            )


def needs_reference(link: Link, links: Sequence[Link]) -> bool:
    """Whether the words of ``link`` lead to another structure from another reference."""
    return any(other.target != link.target and other.question == link.question for other in links)


def absent_names(
    present: Collection[str], region_names: Collection[str], atlas: Atlas
) -> tuple[str, ...]:
    """Structures that this image cannot show, because they belong to a distant region.

    Tumours are never among them: nobody can know from the labels that there is none.
    Empty when the region of a structure that is present is unknown: no guess about what a picture
    of an unknown part of the body lacks.
    """
    regions = set()
    for name in present:
        known = atlas.find(name)
        if known is None:
            return ()
        regions.add(known.body_region)
    far = frozenset.intersection(*(FAR_REGIONS.get(region, frozenset()) for region in regions))
    return tuple(
        entity.name
        for entity in atlas
        if entity.body_region in far
        and entity.system != "lesion"
        and entity.name not in region_names
    )


@dataclass
class Draft:
    """A dialogue while it is written."""

    scene: Scene
    rng: np.random.Generator
    settings: DialogueSettings
    region_names: tuple[str, ...]
    given: list[Entity] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.atlas: Atlas = self.scene.atlas
        self.speaker = Speaker(self.settings.wording_split, self.rng, self.atlas)
        self.usable = [
            name for name, s in self.scene.shapes.items() if s.area >= self.settings.min_pixels
        ]
        usable = set(self.usable)
        self.links = [
            link
            for link in self.scene.links
            if usable.issuperset((*link.references, link.target)) and self._has_words(link)
        ]
        self.numbers: dict[str, list[int]] = {}
        self.told: set[str] = set()
        self.used: set[tuple[RelationKind, tuple[str, ...]]] = set()

    def give_masks(self) -> None:
        """Begin with 1 to 3 masks, leaving at least one structure to ask for if there are two."""
        count = int(self.rng.integers(1, 4))
        count = min(count, max(1, len(self.usable) - 1))
        for place in self.rng.permutation(len(self.usable))[:count]:
            self.given.append(self._entity(self.usable[place], (), status="given"))

    def add_round(self) -> bool:
        """Add one round; False when nothing is left to ask."""
        if self.rng.random() < self.settings.reference_share and self._refer():
            return True
        return self._ask_new() or self._refer(must=not self.rounds)

    def _has_words(self, link: Link) -> bool:
        split = self.settings.wording_split
        return bool(wording.phrases(link.kind, split, link.fact))

    def _entity(self, name: str, refers_to: tuple[int, ...], **fields: str) -> Entity:
        number = 1 + sum(len(known) for known in self.numbers.values())
        self.numbers.setdefault(name, []).append(number)
        mask = self.scene.shapes[name].mask
        return Entity.from_mask(number, mask, name=name, refers_to=refers_to, **fields)

    def _refer(self, *, must: bool = False) -> bool:
        """Add a round with a reference, if one can be asked here.

        Where no question needs its reference, one is seldom asked, unless it ``must``.
        """
        open_links = [link for link in self.links if self._is_open(link)]
        needed = [link for link in open_links if needs_reference(link, self.links)]
        if not open_links:
            return False
        if not (needed or must) and self.rng.random() >= UNNEEDED_WEIGHT:
            return False
        kinds = sorted({link.kind for link in open_links})
        strong = {link.kind for link in needed}
        weights = np.array(
            [KIND_WEIGHTS[kind] * (1.0 if kind in strong else UNNEEDED_WEIGHT) for kind in kinds]
        )
        kind = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]
        options = [link for link in open_links if link.kind is kind]
        link = options[int(self.rng.integers(len(options)))]
        self.used.add((link.kind, link.references))
        named = self.rng.random() >= self.settings.unnamed_share
        order = [link.references[place] for place in self.rng.permutation(len(link.references))]
        numbers = [int(self.rng.choice(self.numbers[name])) for name in order]
        template = self.speaker.relation_template(link, named=named)
        query = wording.fill(template, self.speaker.references(numbers))
        entity = self._entity(link.target, tuple(numbers))
        if named:
            self.told.add(link.target)
            text = wording.answer([(link.target, entity.id)])
        else:
            text = wording.answer_unnamed(entity.id)
        evidence = {**link.evidence, "needs_reference": float(link in needed)}
        self._record(query, text, (entity,), link.fact or link.kind.value, tuple(numbers), evidence)
        return True

    def _is_open(self, link: Link) -> bool:
        if any(name not in self.numbers for name in link.references):
            return False
        if (link.kind, link.references) in self.used:
            return False
        if link.kind is RelationKind.IDENTITY:
            return link.target not in self.told
        return link.kind in RESEGMENTING or link.target not in self.numbers

    def _ask_new(self) -> bool:
        """Add a round that names or describes something new, or something absent."""
        if self.rng.random() < self.settings.absent_share and self._ask_absent():
            return True
        fresh = [name for name in self.usable if name not in self.numbers]
        if not fresh:
            return False
        order = [fresh[place] for place in self.rng.permutation(len(fresh))]
        if len(order) > 1 and self.rng.random() < self.settings.two_target_share:
            query, kind, asked = self.speaker.ask_pair(order[0], order[1]), wording.PAIR, order[:2]
        else:
            asked = order[:1]
            query, kind = self._ask_one(asked[0])
        entities = tuple(self._entity(name, ()) for name in asked)
        self.told.update(asked)
        text = wording.answer([(name, e.id) for name, e in zip(asked, entities, strict=True)])
        self._record(query, text, entities, kind, (), {"needs_reference": 0.0})
        return True

    def _ask_one(self, name: str) -> tuple[str, str]:
        if self.rng.random() < self.settings.describe_share:
            described = self.speaker.ask_description(name)
            if described is not None:
                return described, wording.DESCRIBE
        return self.speaker.ask_name(name), wording.NAME

    def _ask_absent(self) -> bool:
        candidates = absent_names(self.scene.shapes, self.region_names, self.atlas)
        if not candidates:
            return False
        name = self.speaker.choose(candidates)
        text = wording.answer_absent(name)
        self._record(self.speaker.ask_name(name), text, (), "absent", (), {"needs_reference": 0.0})
        return True

    def _record(
        self,
        query: str,
        text: str,
        entities: tuple[Entity, ...],
        kind: str,
        references: tuple[int, ...],
        evidence: Mapping[str, float],
    ) -> None:
        relation = Relation(kind=kind, references=references, evidence=dict(evidence))
        self.rounds.append(Round(query=query, text=text, entities=entities, relation=relation))
