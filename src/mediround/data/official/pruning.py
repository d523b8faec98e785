"""A dialogue without the rounds that the official format cannot say, counted by reason."""

from __future__ import annotations

from collections.abc import Mapping

from mediround.data.official.writing import objections, round_objections
from mediround.dialogue import MARKER, Dialogue, Entity, Relation, Round

DEPENDENT = "a question refers to a round that was dropped"


def prune(dialogue: Dialogue) -> tuple[Dialogue | None, list[str]]:
    """Leave out rounds that cannot be said, and those that refer to them; number anew.

    Given masks that nothing refers to any more are left out with them.

    Returns:
        The rest, None where nothing that can be said remains; and one reason for each round left
        out, or for the dialogue as a whole.
    """
    masks = {entity.id: entity.mask for entity in dialogue.entities()}
    gone: set[int] = set()
    reasons: list[str] = []
    rounds: list[Round] = []
    for each in dialogue.rounds:
        found = round_objections(each, masks)
        if gone & set(each.references):
            found = [DEPENDENT]
        if found:
            reasons.append(found[0])
            gone |= {entity.id for entity in each.entities}
        else:
            rounds.append(each)
    referred = {number for each in rounds for number in each.references}
    given = tuple(entity for entity in dialogue.given if not reasons or entity.id in referred)
    left = _renumbered(dialogue, given, rounds) if rounds else None
    if left is None:
        return None, reasons or ["it has no rounds"]
    remaining = objections(left)
    return (None, [*reasons, remaining[0]]) if remaining else (left, reasons)


def _renumbered(dialogue: Dialogue, given: tuple[Entity, ...], rounds: list[Round]) -> Dialogue:
    kept = sorted([e.id for e in given] + [e.id for each in rounds for e in each.entities])
    numbers = {old: new for new, old in enumerate(kept, start=1)}
    return Dialogue.model_validate(
        {
            **{name: getattr(dialogue, name) for name in type(dialogue).model_fields},
            "given": [_entity(entity, numbers) for entity in given],
            "rounds": [_round(each, numbers) for each in rounds],
        }
    )


def _round(each: Round, numbers: Mapping[int, int]) -> Round:
    def renumber(text: str) -> str:
        return MARKER.sub(lambda found: f"[{numbers[int(found.group(1))]}]", text)

    return each.model_copy(
        update={
            "query": renumber(each.query),
            "text": renumber(each.text),
            "entities": tuple(_entity(entity, numbers) for entity in each.entities),
            "relation": None if each.relation is None else _relation(each.relation, numbers),
        }
    )


def _entity(entity: Entity, numbers: Mapping[int, int]) -> Entity:
    refers_to = tuple(numbers[n] for n in entity.refers_to if n in numbers)
    return entity.model_copy(update={"id": numbers[entity.id], "refers_to": refers_to})


def _relation(relation: Relation, numbers: Mapping[int, int]) -> Relation | None:
    """None where it was to something that is gone."""
    if not numbers.keys() >= set(relation.references):
        return None
    return relation.model_copy(
        update={"references": tuple(numbers[n] for n in relation.references)}
    )
