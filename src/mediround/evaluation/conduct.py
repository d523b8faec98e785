"""Holding an annotated dialogue with a session, under one setting.

The model may draw fewer or more masks than the annotation, so its numbers drift from the
annotated ones. The rules:

- Every annotated number is translated to the session's before a question is asked.
- A target is the mask that the answer calls by the target's name; targets that no mask is called
  by take the masks that are left, in their order. What is still left is ignored (and counted).
- A target without a mask counts as an empty mask: Dice 0. With the model's own references, a
  later question about it cannot be asked by anybody and counts as Dice 0 too, as does whatever
  hangs on that. A miss is thus paid for in every round that it spoils.
- With gold, random or blank references, masks are put in place after each round, missed ones
  included, so every question can be asked.
- With the history dropped, everything is undone before each question, and the masks that it
  refers to are given without text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mediround.data.words import wording
from mediround.data.words.answers import answer_several_unnamed
from mediround.data.words.wording import LANGUAGES, answer_unnamed
from mediround.dialogue import Dialogue, Entity, Rle, Round
from mediround.errors import QueryError
from mediround.evaluation.answers import agrees
from mediround.evaluation.cases import Case, Outcome
from mediround.evaluation.matching import assign, best_overlaps
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.rewriting import named_query, renumbered
from mediround.evaluation.settings import Setting
from mediround.geometry import BoolMask
from mediround.session import Session

Place = tuple[str, str, str, int]
"""Data set, patient, slice and number of the dialogue."""

Prior = Callable[[str], BoolMask]
"""Name of a structure -> where the data set usually shows something, bool (H, W)."""


def conduct(
    session: Session,
    dialogue: Dialogue,
    masks: Mapping[str, BoolMask],
    setting: Setting,
    place: Place,
    rng: np.random.Generator,
    prior: Prior | None = None,
) -> list[Case]:
    """Ask all questions of a dialogue.

    Args:
        session: fresh, on the image of the dialogue.
        dialogue: as annotated.
        setting: who speaks, and what later rounds see.
        place: for the cases.
        masks: every labelled structure of the image, for random references.
        rng: for random references.
        prior: draws instead of the model where the setting says so.

    Returns:
        One case for every annotated mask, and one for every round that should draw none.
    """
    return _Conductor(session, masks, setting, place, rng, prior).all(dialogue)


def stand_in(
    masks: Mapping[str, BoolMask], instead_of: Collection[str], rng: np.random.Generator
) -> BoolMask:
    """A reference that says nothing: the mask of a random other structure of the image.

    Where every structure is among ``instead_of``, the first of these at a random place (wrapped
    round the edges).
    """
    others = [name for name in sorted(masks) if name not in instead_of and masks[name].any()]
    if others:
        return masks[others[int(rng.integers(len(others)))]]
    mask = masks[next(iter(instead_of))]
    rows, columns = (int(rng.integers(1, side)) for side in mask.shape)
    return np.roll(mask, (rows, columns), axis=(0, 1))


@dataclass(frozen=True)
class _Drawn:
    """One mask of an answer; ``number`` is the session's, None where no session drew it."""

    mask: BoolMask
    number: int | None = None
    name: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class _Reply:
    query: str
    text: str = ""
    drawn: tuple[_Drawn, ...] = ()
    outcome: Outcome = "missed"


class _Conductor:
    def __init__(
        self,
        session: Session,
        masks: Mapping[str, BoolMask],
        setting: Setting,
        place: Place,
        rng: np.random.Generator,
        prior: Prior | None,
    ) -> None:
        self.session, self.masks, self.prior = session, masks, prior
        self.setting, self.place, self.rng = setting, place, rng
        self.numbers: dict[int, int] = {}
        self.shown: dict[int, BoolMask] = {}
        self.truths: dict[int, BoolMask] = {}

    def all(self, dialogue: Dialogue) -> list[Case]:
        for entity in dialogue.given:
            self.truths[entity.id] = _mask(entity)
            mask = self._shown_for(entity)
            self.shown[entity.id] = mask
            if self.setting.history == "kept":
                self.numbers[entity.id] = self.session.add_mask(mask).id
        cases: list[Case] = []
        for number, each in enumerate(dialogue.rounds, start=1):
            cases += self._round(number, each)
        return cases

    def _round(self, number: int, each: Round) -> list[Case]:
        targets = [entity for entity in each.entities if entity.mask is not None]
        truths = [_mask(entity) for entity in targets]
        quality = self._reference_quality(each)
        reply = self._reply(each, targets)
        right = agrees(reply.text, self._expected(each)) if _asks_words(each) else None
        found = assign([e.name or "" for e in targets], [d.name for d in reply.drawn])
        matched = [None if place is None else reply.drawn[place] for place in found]
        best = best_overlaps(truths, [each.mask for each in reply.drawn])

        def case(place: int | None, got: _Drawn | None) -> Case:
            target = None if place is None else targets[place]
            truth = None if place is None else truths[place]
            dataset, patient, where, dialogue = self.place
            return Case(
                text=self.setting.text,
                references=self.setting.references,
                correction=self.setting.correction,
                baseline=self.setting.baseline,
                dataset=dataset,
                patient=patient,
                slice=where,
                dialogue=dialogue,
                round=number,
                kind=each.relation.kind if each.relation else "unknown",
                needs_reference=_needs_reference(each),
                named=target is not None and each.text not in _unnamed(targets),
                entity=None if target is None else target.name,
                outcome="drawn" if got is not None else reply.outcome,
                predicted_name=None if got is None else got.name,
                overlap=None if truth is None else _overlap(got, truth),
                score=None if got is None else got.score,
                drawn=len(reply.drawn),
                query=reply.query,
                answer=reply.text,
                target=place or 0,
                targets=len(targets),
                set_overlap=None if place is None else best[place],
                reference_dice=quality,
                expected=each.text,
                right=right,
                truth=None if target is None else target.mask,
                mask=None if got is None else Rle.encode(got.mask),
                spacing=self.session.image.spacing,
            )

        if not targets:
            return [case(None, reply.drawn[0] if reply.drawn else None)]
        cases = [case(place, got) for place, got in enumerate(matched)]
        for target, truth, got in zip(targets, truths, matched, strict=True):
            self.truths[target.id] = truth
            self._hand_on(target, got)
        return cases

    def _reply(self, each: Round, targets: Sequence[Entity]) -> _Reply:
        names = [entity.name or "" for entity in targets]
        rewritten = self.setting.queries == "names" and bool(targets)
        if self.setting.masks != "model":
            assert self.prior is not None  # whoever asks for this setting brings it
            drawn = tuple(_Drawn(self.prior(name)) for name in names)
            return _Reply(each.query, drawn=drawn)
        needed = () if rewritten else dict.fromkeys(each.references)
        if self.setting.history == "dropped":
            self._start_again(needed)
        if not self.numbers.keys() >= set(needed):
            return _Reply(each.query, outcome="unaskable")
        query = named_query(names) if rewritten else renumbered(each.query, self.numbers.get)
        try:
            turn = self.session.ask(query, text=self._text(each, targets, rewritten))
        except QueryError:
            # Reported with the cases; not the end of a long evaluation.
            return _Reply(query, outcome="rejected")
        made = []
        for entity in turn.entities:
            mask = entity.mask
            if mask is not None:
                made.append(_Drawn(mask, entity.id, entity.name, entity.score))
        return _Reply(query, turn.text, tuple(made))

    def _start_again(self, needed: Collection[int]) -> None:
        while self.session.undo():
            pass
        self.numbers = {
            number: self.session.add_mask(self.shown[number]).id
            for number in needed
            if number in self.shown and self.shown[number].any()
        }

    def _text(self, each: Round, targets: Sequence[Entity], rewritten: bool) -> str | None:
        """What the model is made to say; None: it speaks for itself."""
        if self.setting.text == "free":
            return None
        # New numbers first: the annotated text may also speak of earlier masks.
        free = len(self.session.entities) + 1
        if rewritten:
            return wording.answer([(e.name or "", free + step) for step, e in enumerate(targets)])
        ahead = {n: free + step for step, n in enumerate(sorted(e.id for e in targets))}
        return renumbered(each.text, {**self.numbers, **ahead}.get)

    def _expected(self, each: Round) -> str:
        return renumbered(each.text, self.numbers.get)

    def _hand_on(self, target: Entity, got: _Drawn | None) -> None:
        """Decide what later rounds see as ``target``."""
        if self.setting.references == "predicted":
            if got is not None:
                self.shown[target.id] = got.mask
                if got.number is not None:
                    self.numbers[target.id] = got.number
            return
        mask = self._shown_for(target)
        self.shown[target.id] = mask
        if self.setting.history == "dropped" or self.setting.masks != "model":
            return
        if got is None or got.number is None:
            self.numbers[target.id] = self.session.add_mask(mask).id
        else:
            self.session.entities[got.number].replace(mask)
            self.numbers[target.id] = got.number

    def _reference_quality(self, each: Round) -> float | None:
        """Mean Dice of what the question shows with what it should show."""
        needed = dict.fromkeys(each.references)
        if not needed:
            return None
        dice = [
            Overlap.of(self.shown[n], self.truths[n]).dice if n in self.shown else 0.0
            for n in needed
        ]
        return sum(dice) / len(dice)

    def _shown_for(self, entity: Entity) -> BoolMask:
        """What is put in the place of an annotated mask."""
        mask = _mask(entity)
        if self.setting.references == "blank":
            return np.ones_like(mask)
        if self.setting.references != "random":
            return mask
        name = entity.name or ""
        everything = {name: mask, **self.masks}
        return stand_in(everything, (name,), self.rng)


def _asks_words(each: Round) -> bool:
    """Whether the round asks for an answer in words alone."""
    kind = each.relation.kind if each.relation else ""
    return kind.startswith("ask_")


def _unnamed(targets: Sequence[Entity]) -> set[str]:
    """Answers that bring these targets and name none of them."""
    numbers = [entity.id for entity in targets]
    several = {answer_several_unnamed(numbers, language) for language in LANGUAGES}
    return several | {answer_unnamed(n, language) for n in numbers for language in LANGUAGES}


def _needs_reference(each: Round) -> bool:
    return each.relation is not None and bool(each.relation.evidence.get("needs_reference"))


def _mask(entity: Entity) -> BoolMask:
    assert entity.mask is not None  # callers pass annotated masks
    return entity.mask.decode()


def _overlap(got: _Drawn | None, truth: BoolMask) -> Overlap:
    return Overlap.of(np.zeros_like(truth) if got is None else got.mask, truth)
