from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from mediround.dialogue import Dialogue, Entity, Relation, Rle, Round, markers

SHAPE = (9, 11)
VALIDATOR = jsonschema.Draft202012Validator(Dialogue.model_json_schema())
words = st.text(st.characters(codec="utf-8", exclude_characters="[]"), max_size=12)
masks = hnp.arrays(np.bool_, SHAPE)


@st.composite
def entities(draw: st.DrawFn, number: int, known: int, *, given_: bool = False) -> Entity:
    name = draw(st.none() | words)
    refers_to = tuple(draw(st.lists(st.integers(1, known), max_size=2))) if known else ()
    if given_:
        return Entity.from_mask(number, draw(masks), name=name, status="given")
    status = draw(st.sampled_from(["ok", "corrected", "unsure", "absent"]))
    if status == "absent":
        return Entity(id=number, name=name, status="absent", refers_to=refers_to)
    score = draw(st.none() | st.floats(0, 1))
    return Entity.from_mask(
        number, draw(masks), name=name, status=status, score=score, refers_to=refers_to
    )


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    number = draw(st.integers(0, 2))
    supplied = [draw(entities(n, 0, given_=True)) for n in range(1, number + 1)]
    rounds = []
    for _ in range(draw(st.integers(0, 3))):
        known = number
        new = []
        for _ in range(draw(st.integers(0, 2))):
            number += 1
            new.append(draw(entities(number, known)))
        query = draw(words)
        if known:
            query += "".join(f" [{draw(st.integers(1, known))}]" for _ in range(2)) + draw(words)
        text = draw(words) + "".join(f" [{e.id}]" for e in new if e.mask is not None)
        relation = Relation(kind=draw(words), evidence={"gap": draw(st.floats(0, 9))})
        relations = st.none() | st.just(relation)
        rounds.append(Round(query=query, text=text, entities=tuple(new), relation=draw(relations)))
    return Dialogue(
        image=draw(st.none() | words),
        modality=draw(st.none() | st.just("CT")),
        given=tuple(supplied),
        rounds=tuple(rounds),
    )


def entity(number: int = 1, **fields: Any) -> Entity:
    return Entity.from_mask(number, np.eye(4, dtype=bool), **fields)


def ask(query: str, text: str, *new: Entity) -> Round:
    return Round(query=query, text=text, entities=new)


@given(dialogues())
def test_a_dialogue_survives_json(dialogue: Dialogue) -> None:
    assert Dialogue.model_validate_json(dialogue.model_dump_json()) == dialogue


@given(dialogues())
def test_the_exported_schema_describes_what_is_written(dialogue: Dialogue) -> None:
    VALIDATOR.validate(json.loads(dialogue.model_dump_json()))


def test_the_exported_schema_refuses_what_is_not_a_dialogue() -> None:
    stored = json.loads(Dialogue(given=(entity(status="given"),)).model_dump_json())
    stored["given"][0]["score"] = 2
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(stored)


def test_the_exported_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(Dialogue.model_json_schema())


@given(masks)
def test_an_entity_keeps_its_mask_and_measures_its_box(mask: np.ndarray[Any, Any]) -> None:
    made = Entity.from_mask(1, mask)
    assert made.mask is not None
    np.testing.assert_array_equal(made.mask.decode(), mask)
    assert (made.box is None) == (not mask.any())
    if made.box is not None:
        x0, y0, x1, y1 = (int(edge) for edge in made.box)
        assert mask[y0:y1, x0:x1].sum() == mask.sum()


def test_markers_are_read_in_order_with_repetitions() -> None:
    assert markers("[2] beside [10] and [2], not [x] or 3") == (2, 10, 2)


def test_references_and_targets_of_a_round() -> None:
    each = ask("Between [2] and [1]?", "Unlike [1], it is [3].", entity(3))
    assert each.references == (2, 1)
    assert each.targets == (3,)


def test_entities_come_by_number_wherever_they_were_introduced() -> None:
    dialogue = Dialogue(
        given=(entity(2, status="given"),), rounds=(ask("a", "[1]", entity(1)), ask("b", "no"))
    )
    assert [each.id for each in dialogue.entities()] == [1, 2]


@pytest.mark.parametrize(
    ("given_", "rounds", "said"),
    [
        ([entity(2)], [], r"entity numbers are \[2\]; expected 1 to 1"),
        ([entity(1)], [ask("a", "[1]", entity(1))], r"numbers are \[1, 1\]"),
        ([], [ask("Beside [1]", "Here: [1]", entity(1))], r"round 1 refers to \[1\]"),
        ([], [ask("a", "[1]", entity(1)), ask("near [9]", "no")], r"round 2 refers to \[9\]"),
        ([], [ask("a", "Here it is.", entity(1))], r"answers with \[\] in its text"),
        ([], [ask("a", "[1] and [3]", entity(1), entity(2))], r"brings the masks \[1, 2\]"),
    ],
)
def test_dialogues_whose_numbers_do_not_fit_are_refused(
    given_: list[Entity], rounds: list[Round], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Dialogue(given=tuple(given_), rounds=tuple(rounds))


def test_what_a_person_drew_need_not_be_in_the_text() -> None:
    each = ask("a", "There is no spleen.", entity(1, status="corrected"))
    assert Dialogue(rounds=(each, ask("beside [1]", "no"))).rounds[0].targets == ()


def test_exactly_the_absent_have_no_mask() -> None:
    with pytest.raises(ValidationError, match="exactly the absent"):
        Entity(id=1, status="ok")
    with pytest.raises(ValidationError, match="exactly the absent"):
        entity(status="absent")
    assert Entity(id=1, status="absent").mask is None


@pytest.mark.parametrize(
    "fields", [{"id": 0}, {"id": 1, "score": 1.1}, {"id": 1, "colour": "red"}, {"id": "one"}]
)
def test_fields_out_of_range_or_unknown_are_refused(fields: dict[str, Any]) -> None:
    stored = json.loads(entity().model_dump_json()) | fields
    with pytest.raises(ValidationError):
        Entity.model_validate(stored)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        entity().name = "liver"


def test_a_code_of_another_size_is_refused_when_it_is_read() -> None:
    code = Rle.encode(np.eye(4, dtype=bool))
    with pytest.raises(ValueError, match="do not add up"):
        code.model_copy(update={"size": (4, 5)}).decode()
