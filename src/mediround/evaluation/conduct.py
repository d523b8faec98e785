"""Holding an annotated dialogue with a session, under one setting.

The model may draw fewer or more masks than the annotation, so its numbers drift from the
annotated ones. The rules:

- Every annotated number is translated to the session's before a question is asked.
- A target is the mask that the answer calls by the target's name; targets that no mask is called
  by take the masks that are left, in their order. What is still left is ignored (and counted).
- A target without a mask counts as an empty mask: Dice 0. With the model's own references, a
  later question about it cannot be asked by anybody and counts as Dice 0 too, as does whatever
  hangs on that. A miss is thus paid for in every round that it spoils.
- With gold or random references, masks are put in place after each round, missed ones included,
  so every question can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from mediround.data.wording import answer_unnamed
from mediround.dialogue import MARKER, Dialogue, Entity, Round
from mediround.errors import QueryError
from mediround.evaluation.cases import Case, Outcome, Setting
from mediround.evaluation.metrics import Overlap
from mediround.geometry import BoolMask
from mediround.session import Session, SessionEntity, Turn

Place = tuple[str, str, str, int]
"""Data set, patient, slice and number of the dialogue."""


def conduct(
    session: Session,
    dialogue: Dialogue,
    masks: Mapping[str, BoolMask],
    setting: Setting,
    place: Place,
    rng: np.random.Generator,
) -> list[Case]:
    """Ask all questions of a dialogue.

    Args:
        session: fresh, on the image of the dialogue.
        dialogue: as annotated.
        setting: who speaks, and what later rounds see.
        place: for the cases.
        masks: every labelled structure of the image, for random references.
        rng: for random references.

    Returns:
        One case for every annotated mask, and one for every round that should draw none.
    """
    return _Conductor(session, masks, setting, place, rng).all(dialogue)


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


class _Conductor:
    def __init__(
        self,
        session: Session,
        masks: Mapping[str, BoolMask],
        setting: Setting,
        place: Place,
        rng: np.random.Generator,
    ) -> None:
        self.session, self.masks = session, masks
        self.setting, self.place, self.rng = setting, place, rng
        self.numbers: dict[int, int] = {}

    def all(self, dialogue: Dialogue) -> list[Case]:
        for entity in dialogue.given:
            mask = self._stand_in(entity) if self.setting.references == "random" else _mask(entity)
            self.numbers[entity.id] = self.session.add_mask(mask).id
        cases: list[Case] = []
        for number, each in enumerate(dialogue.rounds, start=1):
            cases += self._round(number, each)
        return cases

    def _round(self, number: int, each: Round) -> list[Case]:
        query, targets = each.query, [e for e in each.entities if e.mask is not None]
        drawn: list[SessionEntity] = []
        answer = ""
        outcome: Outcome = "missed"
        if not self.numbers.keys() >= set(each.references):
            outcome = "unaskable"
        else:
            query = _renumbered(query, self.numbers.__getitem__)
            try:
                turn = self._ask(each, query, targets)
            except QueryError:
                outcome = "rejected"  # reported with the cases; not the end of a long evaluation
            else:
                answer, drawn = turn.text, [e for e in turn.entities if e.mask is not None]
        found = assign([e.name or "" for e in targets], [e.name for e in drawn])
        matched = [None if place is None else drawn[place] for place in found]

        def case(target: Entity | None, got: SessionEntity | None) -> Case:
            truth = None if target is None else _mask(target)
            mask = None if got is None else got.mask
            dataset, patient, where, dialogue = self.place
            return Case(
                text=self.setting.text,
                references=self.setting.references,
                dataset=dataset,
                patient=patient,
                slice=where,
                dialogue=dialogue,
                round=number,
                kind=each.relation.kind if each.relation else "unknown",
                needs_reference=_needs_reference(each),
                named=target is not None and each.text != answer_unnamed(target.id),
                entity=None if target is None else target.name,
                outcome="drawn" if mask is not None else outcome,
                predicted_name=None if got is None else got.name,
                overlap=None if truth is None else _overlap(mask, truth),
                score=None if got is None else got.score,
                drawn=len(drawn),
                query=query,
                answer=answer,
            )

        if not targets:
            return [case(None, drawn[0] if drawn else None)]
        cases = [case(target, got) for target, got in zip(targets, matched, strict=True)]
        for target, got in zip(targets, matched, strict=True):
            self._hand_on(target, got)
        return cases

    def _ask(self, each: Round, query: str, targets: Sequence[Entity]) -> Turn:
        if self.setting.text == "free":
            return self.session.ask(query)
        # New numbers first: the annotated text may also speak of earlier masks.
        free = len(self.session.entities) + 1
        ahead = {n: free + step for step, n in enumerate(sorted(e.id for e in targets))}
        numbers = {**self.numbers, **ahead}
        return self.session.ask(query, text=_renumbered(each.text, numbers.__getitem__))

    def _hand_on(self, target: Entity, got: SessionEntity | None) -> None:
        """Decide what later rounds see as ``target``."""
        if self.setting.references == "predicted":
            if got is not None:
                self.numbers[target.id] = got.id
            return
        mask = self._stand_in(target) if self.setting.references == "random" else _mask(target)
        if got is None:
            self.numbers[target.id] = self.session.add_mask(mask).id
        else:
            got.replace(mask)
            self.numbers[target.id] = got.id

    def _stand_in(self, entity: Entity) -> BoolMask:
        assert entity.name is not None  # annotated masks have names
        return stand_in(self.masks, (entity.name,), self.rng)


def assign(targets: Sequence[str], drawn: Sequence[str | None]) -> list[int | None]:
    """For each target's name the place of its mask among the ``drawn`` names, None for a miss.

    By name first; then what is left, in order.
    """
    left = list(range(len(drawn)))
    found: list[int | None] = []
    for name in targets:
        same = next((place for place in left if drawn[place] == name), None)
        if same is not None:
            left.remove(same)
        found.append(same)
    return [place if place is not None else (left.pop(0) if left else None) for place in found]


def _renumbered(text: str, number: Callable[[int], int]) -> str:
    return MARKER.sub(lambda found: f"[{number(int(found.group(1)))}]", text)


def _needs_reference(each: Round) -> bool:
    return each.relation is not None and bool(each.relation.evidence.get("needs_reference"))


def _mask(entity: Entity) -> BoolMask:
    assert entity.mask is not None  # callers pass annotated masks
    return entity.mask.decode()


def _overlap(mask: BoolMask | None, truth: BoolMask) -> Overlap:
    return Overlap.of(np.zeros_like(truth) if mask is None else mask, truth)
