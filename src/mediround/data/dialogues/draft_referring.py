"""Rounds that need their references, for rich dialogues.

A round is marked as needing its references when a reader of the words who knows the structures of
the image, but sees no mask, would answer wrongly at least half of the time
(:mod:`mediround.data.dialogues.guessing`). References become nameless in three ways: a person
supplies a mask without a word, before the dialogue or in the midst of it; an answer was asked not
to name what it shows; a question tells of a structure what no name follows from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediround.data.dialogues import enquiries
from mediround.data.dialogues.draft import KIND_WEIGHTS, Draft
from mediround.data.dialogues.guessing import GUESSABLE, Reader, evidence_of
from mediround.data.dialogues.repertoire import AnyLink
from mediround.data.scene.link import RESEGMENTING, Link, RelationKind
from mediround.data.scene.relations_wide import RANKING, rankings
from mediround.data.words import wording
from mediround.data.words.questions import Asker
from mediround.dialogue import Entity

WEIGHTS: Mapping[str, float] = {
    **{kind.value: weight for kind, weight in KIND_WEIGHTS.items()},
    "identity": 1.5,
    "larger_of": 1.5,
    "smaller_of": 1.5,
    "above": 2.0,
    "below": 2.0,
    "picture_left": 1.0,
    "picture_right": 1.0,
    "picture_above": 1.0,
    "picture_below": 1.0,
    "farthest_from": 0.4,
    "largest_of": 2.0,
    "smallest_of": 2.0,
    "nth_from_top": 3.0,
    "part_of": 2.0,
    "whole_of": 2.0,
}
"""How often a kind is drawn when it is available, relative to the others."""

TRIES = 6  # questions drawn before a round that needs its reference is given up
SUPPLY_SHARE = 0.3  # of rounds for which a new mask is supplied although older ones would do
MOST_GIVEN = 5


@dataclass(frozen=True)
class Choice:
    """A question that can be asked now: the numbers that it refers to, None to be supplied."""

    link: AnyLink
    numbers: tuple[int | None, ...]

    @property
    def supplies(self) -> bool:
        """Whether a person has to supply a mask first."""
        return None in self.numbers


class ReferringDraft(Draft):
    """A dialogue with rounds that need their references, and enquiries.

    Attributes:
        reader: what a reader of the words knows.
        names: number -> name, whether the text has said it or not.
        asked: enquiries that were made.
        language: of questions and answers.
        shown_again: a second mask of something was supplied.
        last: the last round's link, its numbers and whether its answer named it; None after a
            round of another sort.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reader = Reader(self.repertoire, self.known)
        self.language = self.voice.language
        self.asker = Asker(
            self.settings.wording_split, self.rng, self.voice.register, self.language
        )
        self.names: dict[int, str] = {}
        self.shown_again = False
        self.asked: set[tuple[str, tuple[str, ...]]] = set()
        self.last: tuple[AnyLink, tuple[int, ...], bool] | None = None

    def give(self, name: str) -> int:
        """A person supplies a mask without a word."""
        self.given.append(self._entity(name, (), status="given"))
        return self.given[-1].id

    def _entity(self, name: str, refers_to: tuple[int, ...], **fields: Any) -> Entity:
        entity = super()._entity(name, refers_to, **fields)
        self.names[entity.id] = name
        return entity

    def refer(self, *, needed: bool) -> bool:
        """Add a round with references that are ``needed``, or one whose words give it away."""
        for _ in range(TRIES if needed else 1):
            choice = self.drawn(lambda choice: needed or not choice.supplies)
            if choice is None:
                return False
            free = 1 + sum(len(known) for known in self.numbers.values())
            missing = iter(range(free, free + 3))
            numbers = tuple(next(missing) if n is None else n for n in choice.numbers)
            guess = self.reader.guess_link(choice.link, numbers)
            if (guess <= GUESSABLE) == needed:
                self._supply(choice, numbers)
                self._ask(choice.link, numbers, guess)
                return True
        return False

    def show_again(self) -> bool:
        """Supply a second mask of something, once, and ask what it is."""
        again = [name for name, numbers in self.numbers.items() if len(numbers) < 2]
        if self.shown_again or not again or len(self.usable) < 2:
            return False
        self.shown_again = True
        number = self.give(again[int(self.rng.integers(len(again)))])
        self.reader.copies.add(number)
        said = enquiries.answer(self.scene, "ask_name", (self.names[number],), self.language)
        assert said is not None  # everything has a name
        guess = self.reader.guess_enquiry(self.scene, "ask_name", (number,))
        self._enquired("ask_name", (number,), said, guess)
        return True

    def enquire(self, *, needed: bool) -> bool:
        """Add a question that is answered in words, if one can be asked here."""
        kinds = [kind for kind in enquiries.WEIGHTS if kind in enquiries.ONE or len(self.names) > 1]
        for _ in range(TRIES if self.names else 0):
            kind = kinds[self._weighted([enquiries.WEIGHTS[kind] for kind in kinds])]
            options = self._answers(kind)
            if not options:
                continue
            said = sorted(options)[int(self.rng.integers(len(options)))]
            numbers = options[said][int(self.rng.integers(len(options[said])))]
            guess = self.reader.guess_enquiry(self.scene, kind, numbers)
            if (guess <= GUESSABLE) == needed:
                self._enquired(kind, numbers, said, guess)
                return True
        return False

    def _answers(self, kind: str) -> dict[str, list[tuple[int, ...]]]:
        """Answer -> the numbers about which it is right; nothing is asked twice."""
        found: dict[str, list[tuple[int, ...]]] = {}
        singles = [(number,) for number in self.names]
        pairs = [(a, b) for a in self.names for b in self.names if self.names[a] != self.names[b]]
        options: Sequence[tuple[int, ...]] = singles if kind in enquiries.ONE else pairs
        for numbers in options:
            names = tuple(self.names[number] for number in numbers)
            if kind == "ask_size" and any(asked == kind for asked, _ in self.asked):
                continue  # one number is enough for a conversation
            if (kind, names) in self.asked or (kind == "ask_name" and names[0] in self.told):
                continue
            said = enquiries.answer(self.scene, kind, names, self.language)
            if said is not None:
                found.setdefault(said, []).append(numbers)
        return found

    def _enquired(self, kind: str, numbers: tuple[int, ...], said: str, guess: float) -> None:
        names = tuple(self.names[number] for number in numbers)
        self.asked.update({(kind, names), (kind, names[::-1])})
        unit = enquiries.unit_of(self.scene, self.language)
        query = self.asker.enquiry(kind, self.speaker.references(numbers), where=unit)
        self._record(query, said, (), kind, numbers, evidence_of(guess, {}))
        if kind in enquiries.TELLING:
            for name, number in zip(names, numbers, strict=True):
                self._tell(name, number)
            self.reader.deduce()
        self.last = None

    def drawn(self, allowed: Callable[[Choice], bool]) -> Choice | None:
        """A kind by its weight, then a target, then a link: no answer is commoner than another."""
        by_kind: dict[str, Sequence[AnyLink]] = dict(self.repertoire.by_kind)
        for link in rankings(self.scene, list(self.numbers)):
            by_kind[link.kind] = [*by_kind.get(link.kind, ()), link]
        kinds = list(by_kind)
        older = self.rng.random() < self.settings.older_share
        ready = self.rng.random() >= SUPPLY_SHARE
        while kinds:
            kind = kinds.pop(self._weighted([WEIGHTS[kind] for kind in kinds]))
            choices = [each for each in self._choices(by_kind[kind]) if allowed(each)]
            if ready:
                choices = [each for each in choices if not each.supplies] or choices
            if older:
                choices = [each for each in choices if self._is_old(each)] or choices
            if choices:
                targets = sorted({choice.link.target for choice in choices})
                target = targets[int(self.rng.integers(len(targets)))]
                choices = [choice for choice in choices if choice.link.target == target]
                return choices[int(self.rng.integers(len(choices)))]
        return None

    def _choices(self, links: Iterable[AnyLink]) -> Iterator[Choice]:
        """What can be asked now, with at most one mask to be supplied."""
        fresh = sum(name not in self.numbers for name in self.usable)
        room = len(self.given) < MOST_GIVEN
        for link in links:
            missing = sum(name not in self.numbers for name in link.references)
            if missing and not room:
                continue
            if missing > 1 or (missing and fresh < 2 and link.kind is not RelationKind.IDENTITY):
                continue
            if (link.kind, link.references) not in self.used and not self._is_stale(link):
                yield Choice(link, tuple(self._number(n) for n in link.references))

    def _is_stale(self, link: AnyLink) -> bool:
        """Whether the target has been shown, or copied, or what it is has been said."""
        if link.kind is RelationKind.IDENTITY and link.target in self.told:
            return True
        if link.kind in RESEGMENTING or link.kind in RANKING:
            return len(self.numbers.get(link.target, ())) > 1
        return not self._is_fresh(link.target)

    def _is_fresh(self, name: str) -> bool:
        return name not in self.numbers

    def _number(self, name: str) -> int | None:
        """The number to call ``name`` by: one that the text has not named, if there is one."""
        numbers = self.numbers.get(name)
        if numbers is None:
            return None
        return next((number for number in numbers if number not in self.known), numbers[0])

    def _is_old(self, choice: Choice) -> bool:
        now = len(self.rounds)
        return any(number is not None and now - self.born[number] > 1 for number in choice.numbers)

    def _supply(self, choice: Choice, numbers: tuple[int, ...]) -> None:
        for name, number, had in zip(choice.link.references, numbers, choice.numbers, strict=True):
            if had is None:
                given = self.give(name)
                assert given == number  # numbers were dealt in this order

    def _ask(self, link: AnyLink, numbers: tuple[int, ...], guess: float) -> None:
        self.used.add((link.kind, link.references))
        named = self._is_named(link)
        order = tuple(numbers[place] for place in self.rng.permutation(len(numbers)))
        markers = self.speaker.references(order)
        query = self._query(link, markers, named)
        self.answer_link(link, order, query, named=named, guess=guess, kind=link.label)

    def _is_named(self, link: AnyLink) -> bool:
        share = 0.1 if link.kind is RelationKind.IDENTITY else self.settings.unnamed_share
        return bool(self.rng.random() >= share)

    def _query(self, link: AnyLink, markers: list[str], named: bool) -> str:
        if isinstance(link, Link):
            return wording.fill(self.speaker.relation_template(link, named=named), markers)
        return self.asker.framed(self.asker.phrase(link), markers, named=named)

    def answer_link(
        self,
        link: AnyLink,
        numbers: tuple[int, ...],
        query: str,
        *,
        named: bool,
        guess: float,
        kind: str,
    ) -> None:
        """Record the round in which ``link`` answers ``query``."""
        entity = self._entity(link.target, numbers)
        text = (
            self.speaker.answer([(link.target, entity.id)])
            if named
            else self.speaker.answer_unnamed(entity.id)
        )
        self._record(query, text, (entity,), kind, numbers, evidence_of(guess, link.evidence))
        if named:
            self._tell(link.target, entity.id)
        if link.kind is RelationKind.IDENTITY and named:
            self._tell(link.target, numbers[0])
        self.reader.note(link, numbers, entity.id)
        self.last = (link, numbers, named)

    def _weighted(self, weights: Sequence[float]) -> int:
        """A place, drawn by weight; cheaper than ``Generator.choice``."""
        point = self.rng.random() * sum(weights)
        for place, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return place
        return len(weights) - 1
