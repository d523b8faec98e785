"""A rich dialogue while it is written: every kind of round that a user may come up with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mediround.data.dialogues.draft_referring import ReferringDraft
from mediround.data.dialogues.guessing import GUESSABLE, evidence_of
from mediround.data.dialogues.repertoire import AnyLink
from mediround.data.scene.link import RelationKind
from mediround.data.scene.relations_wide import WideKind
from mediround.data.words import wording
from mediround.data.words.answers import (
    answer_several,
    answer_several_unnamed,
    said,
    spoken,
)
from mediround.data.words.phrasebook import term
from mediround.data.words.questions import small_talk
from mediround.data.words.wording import called

OTHER_CHOICE: Mapping[RelationKind | WideKind, RelationKind | WideKind] = {
    RelationKind.LARGER_OF: RelationKind.SMALLER_OF,
    RelationKind.SMALLER_OF: RelationKind.LARGER_OF,
    RelationKind.LEFT_OF: RelationKind.RIGHT_OF,
    RelationKind.RIGHT_OF: RelationKind.LEFT_OF,
    RelationKind.IN_FRONT_OF: RelationKind.BEHIND,
    RelationKind.BEHIND: RelationKind.IN_FRONT_OF,
    WideKind.ABOVE: WideKind.BELOW,
    WideKind.BELOW: WideKind.ABOVE,
    WideKind.PICTURE_LEFT: WideKind.PICTURE_RIGHT,
    WideKind.PICTURE_RIGHT: WideKind.PICTURE_LEFT,
    WideKind.PICTURE_ABOVE: WideKind.PICTURE_BELOW,
    WideKind.PICTURE_BELOW: WideKind.PICTURE_ABOVE,
}
"""What a user means who changes his mind after a round of this kind."""

SIZES = frozenset({RelationKind.LARGER_OF, RelationKind.SMALLER_OF})
GIVEN_AWAY_SHARE = 0.35  # of easy rounds, those with a reference that the words do not need
COUNTING_SHARE = 0.06  # of easy rounds, those that ask how many masks there are


@dataclass
class RichDraft(ReferringDraft):
    """A dialogue with every kind of round.

    Attributes:
        complete: what the data set labels and this image has no mask of is not in the image.
    """

    complete: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pair_of_either: tuple[int, str] | None = None
        self.talked: set[str] = set()
        self.missed: set[str] = set()

    def add_round(self) -> bool:
        """Add one round; False when nothing is left to ask."""
        before = self.last, self.pair_of_either
        self.last = self.pair_of_either = None
        changes = any(before) and self.rng.random() < self.settings.correction_share
        if changes and self._change_mind(*before):
            return True
        if self.rng.random() < self.settings.necessary_share and self._add_needed():
            return True
        return self._add_easy() or self._add_needed() or self.refer(needed=False)

    def _add_needed(self) -> bool:
        share = self.settings
        if self.rng.random() < share.enquiry_share and self.enquire(needed=True):
            return True
        if self.rng.random() < share.premise_share and self._presuppose():
            return True
        if self.rng.random() < share.several_share and self._ask_two_relations():
            return True
        return self.refer(needed=True) or self.show_again() or self.enquire(needed=True)

    def _add_easy(self) -> bool:
        share = self.settings
        if self.numbers and self.rng.random() < share.talk_share and self._talk():
            return True
        if self.rng.random() < COUNTING_SHARE and self._count_masks():
            return True
        if self.rng.random() < share.several_share and self._ask_several():
            return True
        if self.rng.random() < GIVEN_AWAY_SHARE and self.refer(needed=False):
            return True
        return self._ask_substance() or self._ask_new()

    def _change_mind(
        self,
        last: tuple[AnyLink, tuple[int, ...], bool] | None,
        either: tuple[int, str] | None,
    ) -> bool:
        """Answer "no, the other one": the answer follows from the round before."""
        if either is not None:
            number, name = either
            if name in self.numbers:
                return False
            entity = self._entity(name, (number,))
            text = self.speaker.answer_unnamed(entity.id)
            query = self.asker.whole("correction")
            evidence = evidence_of(0.5, {})
            self._record(query, text, (entity,), "correction", (number,), evidence)
            return True
        assert last is not None  # the caller has one of the two
        link, numbers, named = last
        opposite = OTHER_CHOICE.get(link.kind)
        found = next(
            (
                other
                for other in self.repertoire.all_links
                if other.kind is opposite and set(other.references) == set(link.references)
            ),
            None,
        )
        if found is None or self._is_stale(found):
            return False
        guess = self.reader.guess_link(found, numbers)
        query = self.asker.whole("correction" if link.kind in SIZES else "correction_side")
        self.used.add((found.kind, found.references))
        self.answer_link(found, numbers, query, named=named, guess=guess, kind="correction")
        self.last = None
        return True

    def _presuppose(self) -> bool:
        """Ask for the counterpart of what has none, or whose counterpart is not shown."""
        options = [n for n in self.names if self._no_counterpart(self.names[n]) is not None]
        options = [n for n in options if ("premise", (self.names[n],)) not in self.asked]
        if not options:
            return False
        number = options[int(self.rng.integers(len(options)))]
        name = self.names[number]
        text = self._no_counterpart(name)
        assert text is not None  # options were chosen so
        self.asked.add(("premise", (name,)))
        answers = [self._no_counterpart(other) for other in self.reader.possible(number)]
        guess = max(answers.count(each) for each in answers) / len(answers)
        query = self.asker.whole("premise", a=self.speaker.references([number])[0])
        self._record(query, text, (), "premise", (number,), evidence_of(guess, {}))
        self._tell(name, number)
        self.reader.deduce()
        return True

    def _no_counterpart(self, name: str) -> str | None:
        """The honest answer where there is nothing to segment; None where there may be."""
        known = self.atlas.find(name)
        if known is None:
            return None
        if known.pair is None:
            single = known.laterality is None and known.noun == "organ"
            return self._said("no_counterpart", name) if single else None
        absent = known.pair not in self.scene.shapes and known.laterality is not None
        if absent and self.complete and known.pair in self.region_names:
            return self._said("counterpart_not_shown", known.pair)
        return None

    def _said(self, key: str, name: str) -> str:
        return said(key, self.language, name=called(name, self.language))

    def _ask_two_relations(self) -> bool:
        """One question for two structures, each by a relation of its own."""
        first = self.drawn(lambda c: not c.supplies and self._is_fresh(c.link.target))
        if first is None:
            return False
        taken, question = first.link.target, first.link.question
        second = self.drawn(
            lambda c: (
                not c.supplies
                and self._is_fresh(c.link.target)
                and c.link.target != taken
                and c.link.question != question
            )
        )
        if second is None:
            return False
        phrases, guess, numbers = [], 1.0, []
        for choice in (first, second):
            each = tuple(number for number in choice.numbers if number is not None)
            guess *= self.reader.guess_link(choice.link, each)
            phrases.append(self._phrase(choice.link, self.speaker.references(each)))
            numbers += list(each)
        if guess > GUESSABLE:
            return False
        query = self.asker.whole("two_relations", x=phrases[0], y=phrases[1])
        query = self.asker.joined(query, self.asker.whole("unnamed_several"))
        refers = tuple(dict.fromkeys(numbers))
        entities = tuple(self._entity(c.link.target, refers) for c in (first, second))
        text = answer_several_unnamed([entity.id for entity in entities], self.language)
        self._record(query, text, entities, "several", tuple(numbers), evidence_of(guess, {}))
        for choice, entity in zip((first, second), entities, strict=True):
            self.used.add((choice.link.kind, choice.link.references))
            each = tuple(number for number in choice.numbers if number is not None)
            self.reader.note(choice.link, each, entity.id)
        return True

    def _phrase(self, link: AnyLink, references: list[str]) -> str:
        if isinstance(link.kind, WideKind):
            phrase = self.asker.substance_phrase(link.kind.value, dict(link.terms))
        else:
            fact = link.label if link.kind is RelationKind.FACT else None
            split = self.settings.wording_split
            phrase = wording.draw_phrase(link.kind, split, self.rng, fact, self.language)
            for gap, word in link.terms:
                phrase = phrase.replace(f"{{{gap}}}", term(word, self.language))
        for gap, reference in zip(("{a}", "{b}", "{c}"), references, strict=False):
            phrase = phrase.replace(gap, reference)
        return phrase

    def _ask_several(self) -> bool:
        """Three names, both of a pair, or either of a pair."""
        if self.rng.random() < 0.6 and self.repertoire.pairs:
            return self._ask_pair()
        fresh = [name for name in self.usable if self._is_fresh(name)]
        if len(fresh) < 3:
            return False
        names = [fresh[place] for place in self.rng.permutation(len(fresh))[:3]]
        x, y, z = (self.speaker.name(name) for name in names)
        self._answer_names(self.asker.whole("three", x=x, y=y, z=z), names)
        return True

    def _ask_pair(self) -> bool:
        pairs = [p for p in self.repertoire.pairs if all(self._is_fresh(name) for name in p[:2])]
        if not pairs:
            return False
        left, right, plural = pairs[int(self.rng.integers(len(pairs)))]
        if self.rng.random() < 0.4:
            self._answer_names(self.asker.whole("both", x=plural), [left, right])
            return True
        one, other = (left, right) if self.rng.random() < 0.5 else (right, left)
        entity = self._entity(one, ())
        query, text = self.asker.whole("either", x=plural), self.speaker.answer_unnamed(entity.id)
        self._record(query, text, (entity,), "either", (), evidence_of(1.0, {}))
        self.pair_of_either = (entity.id, other)
        return True

    def _answer_names(self, query: str, names: list[str]) -> None:
        entities = tuple(self._entity(name, ()) for name in names)
        targets = [(name, e.id) for name, e in zip(names, entities, strict=True)]
        text = answer_several(targets, self.language)
        self._record(query, text, entities, "several", (), evidence_of(1.0, {}))
        for name, entity in zip(names, entities, strict=True):
            self._tell(name, entity.id)
        self.reader.deduce()

    def _ask_substance(self) -> bool:
        """Ask for the only structure that makes a substance."""
        if self.rng.random() >= self.settings.several_share:
            return False
        options = [
            (name, noun, substance)
            for name, noun, substance in self.repertoire.makers
            if self._is_fresh(name)
        ]
        if not options:
            return False
        name, noun, substance = options[int(self.rng.integers(len(options)))]
        phrase = self.asker.substance_phrase("secretes", {"noun": noun, "substance": substance})
        entity = self._entity(name, ())
        text = self.speaker.answer([(name, entity.id)])
        query = self.asker.framed(phrase, [])
        self._record(query, text, (entity,), "secretes", (), evidence_of(1.0, {}))
        self._tell(name, entity.id)
        return True

    def _ask_new(self) -> bool:
        done = super()._ask_new()
        self.reader.deduce()
        return done

    def _ask_absent(self) -> bool:
        near = [
            name
            for name in self.region_names
            if name not in self.scene.shapes and name not in self.missed
        ]
        if not (self.complete and near and self.rng.random() < self.settings.near_absent_share):
            return super()._ask_absent()
        name = near[int(self.rng.integers(len(near)))]
        self.missed.add(name)
        text = self.speaker.answer_absent(name)
        self._record(self.speaker.ask_name(name), text, (), "absent", (), evidence_of(1.0, {}))
        return True

    def _count_masks(self) -> bool:
        drawn = sum(len(each.entities) for each in self.rounds)
        if not drawn or ("ask_total", ()) in self.asked:
            return False
        self.asked.add(("ask_total", ()))
        text = said("total", self.language, count=spoken(drawn, self.language))
        query = self.asker.enquiry("ask_total", [])
        self._record(query, text, (), "ask_total", (), evidence_of(1.0, {}))
        return True

    def _talk(self) -> bool:
        known = small_talk(self.settings.wording_split, self.language)
        pairs = [pair for pair in known if pair[0] not in self.talked]
        query, text = pairs[int(self.rng.integers(len(pairs)))]
        self.talked.add(query)
        self._record(query, text, (), "talk", (), evidence_of(1.0, {}))
        return True
