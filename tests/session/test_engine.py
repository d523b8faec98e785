from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from mediround.dialogue import Dialogue
from mediround.errors import InputError, QueryError, UnknownReferenceError
from mediround.session import Model, Session
from mediround.session.source import Source

Pictures = Callable[[int], NDArray[np.float64]]
Square = NDArray[np.bool_]

QUERIES = (
    ("Segment the liver.", "The liver is [1]."),
    ("Now the counterpart of [1].", "The spleen is [2]."),
    ("What lies behind it?", "It is [3]."),
    ("The two beside [2] and [3].", "The left kidney is [4] and the aorta is [5]."),
)


def held(model: Model, picture: Pictures, *, keep_cache: bool = True) -> Session:
    """A session without anything said in it."""
    image = model.open(picture(0)).image
    return Session(model, image, Source(), keep_cache=keep_cache)


def converse(session: Session) -> Session:
    for query, text in QUERIES:
        session.ask(query, text=text)
    return session


def score(session: Session, number: int) -> float:
    found = session.entities[number].score
    assert found is not None
    return found


def drawn(session: Session, number: int) -> NDArray[np.bool_]:
    found = session.entities[number].mask
    assert found is not None
    return found


def assert_same(one: Dialogue, other: Dialogue) -> None:
    """Equal words and statuses; masks and scores as equal as floating point lets them be."""
    assert [(r.query, r.text) for r in one.rounds] == [(r.query, r.text) for r in other.rounds]
    without = {"mask": None, "box": None, "score": None}
    for mine, theirs in zip(one.entities(), other.entities(), strict=True):
        assert mine.model_copy(update=without) == theirs.model_copy(update=without)
        if mine.score is not None:
            assert mine.score == pytest.approx(theirs.score, abs=1e-4)
        if mine.mask is not None:
            assert theirs.mask is not None
            assert (mine.mask.decode() != theirs.mask.decode()).sum() <= 4


def test_a_round_gives_text_masks_and_scores(model: Model, picture: Pictures) -> None:
    session = held(model, picture)
    turn = session.ask("Segment the liver and the spleen.", text="The liver is [1] and it is [2].")
    assert turn.text == "The liver is [1] and it is [2]."
    first, second = turn.entities
    assert (first.id, first.name, second.id, second.name) == (1, "liver", 2, None)
    for each in turn.entities:
        assert each.mask is not None
        assert each.mask.shape == session.image.size
        assert each.mask.dtype == np.bool_
        assert each.score is not None
        assert 0 <= each.score <= 1
        unsure = each.score < model.network.config.unsure_below
        assert each.status == ("unsure" if unsure else "ok")
    assert [t.text for t in session.turns] == [turn.text]


def test_references_are_written_as_numbers_and_remembered(model: Model, picture: Pictures) -> None:
    session = converse(held(model, picture))
    assert [t.query for t in session.turns][2] == "What lies behind [2]?"
    refers = {number: entity.refers_to for number, entity in session.entities.items()}
    assert refers == {1: (), 2: (1,), 3: (2,), 4: (2, 3), 5: (2, 3)}


def test_the_model_speaks_for_itself_and_always_alike(
    make_model: Callable[[], Model], picture: Pictures
) -> None:
    sessions = [held(make_model(), picture) for _ in range(2)]
    for session in sessions:
        session.ask("Segment the liver.")
        session.ask("Now the spleen.")
    assert sessions[0].dialogue == sessions[1].dialogue
    assert sum(len(turn.entities) for turn in sessions[0].turns) > 0


def test_what_is_kept_changes_no_answer(model: Model, picture: Pictures, square: Square) -> None:
    sessions = [held(model, picture, keep_cache=keep) for keep in (True, False)]
    for session in sessions:
        converse(session)
        session.undo()
        session.entities[1].replace(square)
        session.ask("The organ between [1] and [3].")
        session.add_mask(~square)
        session.ask("What is it?")
    assert_same(sessions[0].dialogue, sessions[1].dialogue)


def test_a_correction_is_seen_by_later_rounds(
    model: Model, picture: Pictures, square: Square
) -> None:
    texts = [QUERIES[0], ("Beside [1]", "It is [2].")]
    plain, corrected, afresh = (held(model, picture) for _ in range(3))
    for session in (plain, corrected):
        session.ask(*texts[0][:1], text=texts[0][1])
    corrected.entities[1].replace(square)
    assert corrected.entities[1].status == "corrected"
    assert corrected.entities[1].score is None
    assert corrected.entities[1].name == "liver"
    assert list(corrected.entities[1].box or ()) == [10, 20, 30, 40]
    for session in (plain, corrected):
        session.ask("Beside [1]", text="It is [2].")
    assert score(plain, 2) != pytest.approx(score(corrected, 2), abs=1e-5)
    assert not np.array_equal(drawn(plain, 2), drawn(corrected, 2))
    # The same by another way: corrected twice, and what was read between is forgotten.
    afresh.ask(texts[0][0], text=texts[0][1])
    afresh.entities[1].replace(~square)
    afresh.ask("Beside [1]", text="It is [2].")
    afresh.undo()
    afresh.entities[1].replace(square)
    afresh.ask("Beside [1]", text="It is [2].")
    assert_same(afresh.dialogue, corrected.dialogue)


def test_a_mask_may_be_brought_without_a_question(
    model: Model, picture: Pictures, square: Square
) -> None:
    session = held(model, picture)
    entity = session.add_mask(square, name="liver")
    assert (entity.id, entity.name, entity.status, entity.score) == (1, "liver", "given", None)
    np.testing.assert_array_equal(entity.mask, square)
    turn = session.ask("What is [1]?", text="The liver is [2].")
    assert turn.entities[0].refers_to == (1,)
    assert session.add_mask(~square).id == 3
    entity.replace(~square)
    assert entity.status == "given"
    entity.rename(None)
    assert session.entities[1].name is None


@pytest.mark.parametrize(
    ("query", "error"),
    [("beside [9]", UnknownReferenceError), ("round 4's mask", QueryError), (" ", QueryError)],
)
def test_a_question_that_cannot_be_asked_changes_nothing(
    model: Model, picture: Pictures, query: str, error: type[QueryError]
) -> None:
    session = held(model, picture)
    session.ask("Segment the liver.", text="The liver is [1].")
    session.ask("And?", text="The spleen is [2].")
    session.undo()
    before, again = session.dialogue, held(model, picture)
    with pytest.raises(error):
        session.ask(query)
    assert session.dialogue is before
    assert session.redo()
    again.ask("Segment the liver.", text="The liver is [1].")
    again.ask("And?", text="The spleen is [2].")
    assert_same(session.dialogue, again.dialogue)


def test_a_dialogue_that_outgrows_the_context_is_refused(model: Model, picture: Pictures) -> None:
    session = held(model, picture)
    session.ask("a" * 999, text="no")
    with pytest.raises(QueryError, match="has grown to .* tokens; expected at most"):
        session.ask("b" * 999)
    assert len(session.turns) == 1


def test_an_absent_structure_has_a_number_and_no_mask(model: Model, picture: Pictures) -> None:
    session = held(model, picture)
    (entity,) = session.ask("Segment it.", text="There is no spleen in this image.").entities
    assert (entity.status, entity.name, entity.mask, entity.box) == ("absent", "spleen", None, None)
    with pytest.raises(UnknownReferenceError, match="absent"):
        session.ask("beside [1]")
    assert session.ask("And the liver?", text="The liver is [2].").entities[0].id == 2


def test_numbers_in_a_dictated_answer_are_counted_anew(model: Model, picture: Pictures) -> None:
    session = held(model, picture)
    turn = session.ask("Both?", text="The liver is [4] and the spleen is [7].")
    assert turn.text == "The liver is [1] and the spleen is [2]."
    assert [entity.name for entity in turn.entities] == ["liver", "spleen"]


def test_a_person_may_draw_what_the_model_called_absent(
    model: Model, picture: Pictures, square: Square
) -> None:
    session = held(model, picture)
    (entity,) = session.ask("Spleen?", text="There is no spleen in this image.").entities
    entity.replace(square)
    assert (entity.status, entity.name) == ("corrected", "spleen")
    session.ask("Beside [1]", text="It is [2].")
    given = held(model, picture)
    given.ask("Spleen?", text="There is no spleen in this image.")
    given.entities[1].replace(~square)
    given.ask("Beside [1]", text="It is [2].")
    assert score(session, 2) != pytest.approx(score(given, 2), abs=1e-5)
    assert not np.array_equal(drawn(session, 2), drawn(given, 2))


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones((60, 71), dtype=bool), "shape"),
        (np.ones((60, 72)), "type float64"),
        (np.zeros((60, 72), dtype=bool), "empty"),
    ],
)
def test_masks_that_cannot_be_used(
    model: Model, picture: Pictures, square: Square, mask: NDArray[np.bool_], said: str
) -> None:
    session = held(model, picture)
    session.add_mask(square)
    with pytest.raises(InputError, match=said):
        session.add_mask(mask)
    with pytest.raises(InputError, match=said):
        session.entities[1].replace(mask)
    assert len(session.entities) == 1


def test_an_entity_that_is_undone_is_gone(model: Model, picture: Pictures, square: Square) -> None:
    session = held(model, picture)
    entity = session.add_mask(square)
    session.undo()
    assert 1 not in session.entities
    with pytest.raises(UnknownReferenceError, match="no longer there"):
        _ = entity.mask
    with pytest.raises(UnknownReferenceError, match=r"no entity \[1\]"):
        session.entities[1].replace(square)
    session.redo()
    np.testing.assert_array_equal(entity.mask, square)
    assert repr(entity) == "<[1] unnamed, given>"


class Interruption(KeyboardInterrupt):
    pass


def test_an_interrupted_question_leaves_the_session_usable(
    make_model: Callable[[], Model], picture: Pictures
) -> None:
    model = make_model()
    session, other = held(model, picture), held(model, picture)
    session.ask("Segment the liver.", text="The liver is [1].")

    def stop(*_: object) -> None:
        raise Interruption

    layers = model.network.language.inner.model.layers
    handle = layers[-1].register_forward_pre_hook(stop)
    with pytest.raises(Interruption):
        session.ask("Beside [1]")
    handle.remove()
    session.ask("Behind [1]", text="It is [2].")
    other.ask("Segment the liver.", text="The liver is [1].")
    other.ask("Behind [1]", text="It is [2].")
    assert_same(session.dialogue, other.dialogue)


def test_sessions_in_threads_are_sessions_one_after_the_other(
    make_model: Callable[[], Model], picture: Pictures
) -> None:
    def hold(model: Model, seed: int) -> Dialogue:
        session = model.open(picture(seed))
        session.ask("Segment the liver.")
        session.ask("Segment the spleen.", text="The spleen is [9].")
        session.ask("Beside it.")
        session.undo()
        session.ask("Behind it.")
        return session.dialogue

    one, many = make_model(), make_model()
    seeds = [0, 1, 0, 1]
    serial = [hold(one, seed) for seed in seeds]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda seed: hold(many, seed), seeds))
    for mine, theirs in zip(serial, parallel, strict=True):
        assert_same(mine, theirs)
    assert serial[0] == serial[2]
    assert serial[0] != serial[1]


def test_one_session_takes_questions_from_many_threads(model: Model, picture: Pictures) -> None:
    session = held(model, picture)
    start = threading.Barrier(4)

    def ask(number: int) -> None:
        start.wait()
        session.ask(f"Question {number}", text="It is [9].")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert sorted(turn.query for turn in session.turns) == [f"Question {n}" for n in range(4)]
    assert list(session.entities) == [1, 2, 3, 4]


class History(RuleBasedStateMachine):
    """Undo and redo against a plain list of dialogues."""

    model: Model
    picture: Pictures

    @initialize()
    def begin(self) -> None:
        self.session = held(self.model, self.picture)
        self.states = [self.session.dialogue]
        self.now = 0

    def moved(self) -> None:
        self.states[self.now + 1 :] = [self.session.dialogue]
        self.now += 1

    @rule(text=st.sampled_from(["It is [1].", "There is no liver here.", "[1] and [2]", "no"]))
    def ask(self, text: str) -> None:
        self.session.ask("Segment it.", text=text)
        self.moved()

    @rule(column=st.integers(0, 71))
    def add_mask(self, column: int) -> None:
        mask = np.zeros((60, 72), dtype=bool)
        mask[:, column] = True
        self.session.add_mask(mask)
        self.moved()

    @precondition(lambda self: len(self.session.entities) > 0)
    @rule(data=st.data(), row=st.integers(0, 59))
    def replace(self, data: st.DataObject, row: int) -> None:
        number = data.draw(st.sampled_from(list(self.session.entities)))
        mask = np.zeros((60, 72), dtype=bool)
        mask[row] = True
        self.session.replace(number, mask)
        np.testing.assert_array_equal(self.session.entities[number].mask, mask)
        self.moved()

    @precondition(lambda self: len(self.session.entities) > 0)
    @rule(data=st.data(), name=st.none() | st.text(max_size=4))
    def rename(self, data: st.DataObject, name: str | None) -> None:
        number = data.draw(st.sampled_from(list(self.session.entities)))
        self.session.rename(number, name)
        self.moved()

    @rule()
    def refuse(self) -> None:
        with pytest.raises(UnknownReferenceError):
            self.session.ask("beside [99]")

    @rule()
    def undo(self) -> None:
        assert self.session.undo() == (self.now > 0)
        self.now = max(0, self.now - 1)

    @rule()
    def redo(self) -> None:
        possible = self.now + 1 < len(self.states)
        assert self.session.redo() == possible
        self.now += possible

    @invariant()
    def is_where_the_list_is(self) -> None:
        if hasattr(self, "states"):
            assert self.session.dialogue == self.states[self.now]
            numbers = list(self.session.entities)
            assert numbers == list(range(1, len(numbers) + 1))


def test_undo_and_redo_move_in_a_list(model: Model, picture: Pictures) -> None:
    class Bound(History):
        def __init__(self) -> None:
            self.model, self.picture = model, picture
            super().__init__()

    chosen = settings(max_examples=12, stateful_step_count=10, deadline=None)
    run_state_machine_as_test(Bound, settings=chosen)


def test_what_the_model_never_learned_is_unsure(
    make_model: Callable[[], Model], picture: Pictures
) -> None:
    model = make_model()
    learned = replace(model.network.config, entities=("liver",), unsure_below=0.0)
    model.network.config = learned
    session = held(model, picture)
    answers = ("The liver is [1].", "The spleen is [2].", "It is [3].", "The frobnicator is [4].")
    found = [session.ask("Segment this.", text=text).entities[0].status for text in answers]
    assert found == ["ok", "unsure", "ok", "unsure"]
