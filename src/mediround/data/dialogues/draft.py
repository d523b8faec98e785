"""A dialogue while it is written: what has been shown and named, and what can be asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mediround.anatomy import Atlas
from mediround.data.dialogues.difficulty import difficulty
from mediround.data.dialogues.repertoire import Repertoire, absent_names
from mediround.data.dialogues.settings import DialogueSettings
from mediround.data.scene.link import RESEGMENTING, Link, RelationKind
from mediround.data.scene.relations import Scene
from mediround.data.words import wording
from mediround.data.words.wording import Speaker, draw_voice
from mediround.dialogue import Entity, Relation, Round

__all__ = ["KIND_WEIGHTS", "DialogueSettings", "Draft", "absent_names", "needs_reference"]

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

UNNEEDED_WEIGHT = 0.15  # of a link whose words alone give the answer away in this image


def needs_reference(link: Link, links: Sequence[Link]) -> bool:
    """Whether the words of ``link`` lead to another structure from another reference."""
    return any(other.target != link.target and other.question == link.question for other in links)


@dataclass
class Draft:
    """A dialogue while it is written.

    Attributes:
        numbers: name -> the numbers of its masks so far.
        born: number -> how many rounds there were before it.
        known: number -> its name, where the text has said it.
        told: names that the text has said.
        used: questions that were asked, with the names of their references.
    """

    scene: Scene
    rng: np.random.Generator
    settings: DialogueSettings
    region_names: tuple[str, ...]
    given: list[Entity] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.atlas: Atlas = self.scene.atlas
        shares = self.settings
        self.voice = draw_voice(
            self.rng,
            chinese_share=shares.chinese_share,
            register_share=shares.register_share,
            typo_share=shares.typo_share,
            abbreviation_share=shares.abbreviation_share,
        )
        self.speaker = Speaker(shares.wording_split, self.rng, self.atlas, self.voice)
        self.repertoire = Repertoire.of(self.scene, shares, self.voice.language)
        self.usable = self.repertoire.usable
        self.links = self.repertoire.links
        self.numbers: dict[str, list[int]] = {}
        self.born: dict[int, int] = {}
        self.known: dict[int, str] = {}
        self.told: set[str] = set()
        self.used: set[tuple[str, tuple[str, ...]]] = set()

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

    def _entity(self, name: str, refers_to: tuple[int, ...], **fields: Any) -> Entity:
        number = 1 + sum(len(known) for known in self.numbers.values())
        self.numbers.setdefault(name, []).append(number)
        self.born[number] = len(self.rounds)
        return measured_entity(self.scene, name, number, refers_to=refers_to, **fields)

    def _tell(self, name: str, number: int) -> None:
        """Note that the text has said what ``number`` is."""
        self.told.add(name)
        self.known[number] = name

    def _refer(self, *, must: bool = False) -> bool:
        """Add a round with a reference, if one can be asked here.

        Where no question needs its reference, one is seldom asked, unless it ``must``.
        """
        open_links = [link for link in self.links if self._is_open(link)]
        needed = [link for link in open_links if self.repertoire.needs_reference(link)]
        if not open_links:
            return False
        if not (needed or must) and self.rng.random() >= UNNEEDED_WEIGHT:
            return False
        kinds = sorted({link.kind for link in open_links})
        strong = {link.kind for link in needed}
        needs = self.repertoire.needs_reference
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
            self._tell(link.target, entity.id)
            text = self.speaker.answer([(link.target, entity.id)])
        else:
            text = self.speaker.answer_unnamed(entity.id)
        evidence = {**link.evidence, "needs_reference": float(needs(link))}
        self._record(query, text, (entity,), link.label, tuple(numbers), evidence)
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
        for name, entity in zip(asked, entities, strict=True):
            self._tell(name, entity.id)
        text = self.speaker.answer([(name, e.id) for name, e in zip(asked, entities, strict=True)])
        self._record(query, text, entities, kind, (), {"needs_reference": 0.0})
        return True

    def _ask_one(self, name: str) -> tuple[str, str]:
        if self.rng.random() < self.settings.describe_share:
            described = self.speaker.ask_description(name)
            if described is not None:
                return described, wording.DESCRIBE
        return self.speaker.ask_name(name), wording.NAME

    def _ask_absent(self) -> bool:
        candidates = self.repertoire.far_absent(self.region_names)
        if not candidates:
            return False
        name = self.speaker.choose(candidates)
        text = self.speaker.answer_absent(name)
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
        relation = Relation(
            kind=kind,
            references=references,
            evidence=dict(evidence),
            difficulty=self._difficulty(kind, references),
        )
        self.rounds.append(Round(query=query, text=text, entities=entities, relation=relation))

    def _difficulty(self, kind: str, references: tuple[int, ...]) -> float:
        now = len(self.rounds)
        return difficulty(
            kind,
            references=len(references),
            rounds_back=max((now - self.born[number] for number in references), default=0),
            anonymous=sum(number not in self.known for number in references),
        )


def measured_entity(scene: Scene, name: str, number: int, **fields: Any) -> Entity:
    """The entity ``number`` with the mask of ``name``, as :meth:`Entity.from_mask` makes it."""
    shape = scene.shapes[name]
    return Entity(id=number, name=name, mask=shape.rle, box=shape.box.corners, **fields)
