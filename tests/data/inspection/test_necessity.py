from __future__ import annotations

import numpy as np
import pytest

from mediround.data.dialogues.builder import DialogueSettings, draw_dialogues, measure
from mediround.data.dialogues.difficulty import difficulty, level
from mediround.data.dialogues.guessing import Reader
from mediround.data.dialogues.repertoire import Repertoire
from mediround.data.inspection.necessity import OracleReport, Told, text_only_oracle
from mediround.data.scene.link import RelationKind
from mediround.data.scene.relations import Scene
from mediround.data.scene.relations_wide import rankings
from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]

PIXEL = np.ones((8, 8), dtype=bool)
NAMES = ("liver", "spleen", "aorta", "pancreas", "stomach")


def asked(target: str, *, kind: str = "counterpart", given: int = 1, told: str = "") -> Dialogue:
    """One marked round about a mask without text; ``told`` stands in an answer before it."""
    masks = tuple(
        Entity.from_mask(n, PIXEL, name="liver", status="given") for n in range(1, given + 1)
    )
    rounds: list[Round] = []
    number = given + 1
    if told:
        first = Entity.from_mask(number, PIXEL, name=told)
        rounds.append(Round(query="Segment it.", text=f"It is the {told} [2].", entities=(first,)))
        number += 1
    evidence = {"needs_reference": 1.0, "guess": 0.2}
    reference = number - 1
    relation = Relation(kind=kind, references=(reference,), evidence=evidence)
    entity = Entity.from_mask(number, PIXEL, name=target, refers_to=(reference,))
    query, text = f"Show me the counterpart of [{reference}].", f"It is [{number}]."
    rounds.append(Round(query=query, text=text, entities=(entity,), relation=relation))
    return Dialogue(modality="CT", given=masks, rounds=tuple(rounds))


def told(dialogues: list[Dialogue], dataset: str = "A") -> list[Told]:
    return [Told(dataset, f"{dataset}/{n}", dialogue) for n, dialogue in enumerate(dialogues)]


def test_answers_that_follow_from_the_words_are_found_out() -> None:
    report = text_only_oracle(told([asked("liver") for _ in range(50)]))
    assert (report.marked, report.answered) == (50, 50)
    assert report.answered_share == 1.0
    assert not report.passed()


def test_answers_that_differ_under_the_same_words_are_not() -> None:
    rng = np.random.default_rng(0)
    report = text_only_oracle(told([asked(str(rng.choice(NAMES))) for _ in range(500)]))
    assert report.answered_share == pytest.approx(1 / len(NAMES), abs=0.06)
    assert report.guessed_share == pytest.approx(0.2)
    assert report.passed()


def test_what_the_history_tells_is_used() -> None:
    """The same words, but the structure named before decides: the oracle has read it."""
    partner = dict(zip(NAMES, NAMES[1:] + NAMES[:1], strict=True))
    dialogues = [asked(partner[name], told=name) for name in NAMES * 40]
    report = text_only_oracle(told(dialogues))
    assert report.answered_share > 0.95
    assert (report.rounds, report.marked_later) == (200, 200)
    assert report.necessary_share == 1.0


def test_a_group_is_not_answered_from_itself() -> None:
    """Each group has an answer of its own, so that nothing can be learned from the others."""
    dialogues = [Told("A", name, asked(name)) for name in NAMES for _ in range(40)]
    report = text_only_oracle(dialogues)
    assert report.answered == 0


def test_data_sets_are_told_apart() -> None:
    report = text_only_oracle(told([asked("liver")] * 50, "A") + told([asked("spleen")] * 50, "B"))
    assert report.datasets == {"A": (50, 50), "B": (50, 50)}
    assert report.kinds == {"counterpart": (100, 100)}


def test_a_set_without_marked_rounds_does_not_pass() -> None:
    report = text_only_oracle([])
    assert report == OracleReport(0, 0, 0, 0, 0.0, {}, {})
    assert (report.necessary_share, report.answered_share, report.guessed_share) == (0, 0, 0)
    assert not report.passed()


def test_rich_dialogues_leave_the_oracle_in_the_dark(upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=True)
    rng = np.random.default_rng(0)
    settings = DialogueSettings.rich()
    drawn = [
        Told("A", str(number), dialogue)
        for number in range(250)
        for dialogue in draw_dialogues(
            {}, rng, settings=settings, modality="CT", oriented=True, scene=scene
        )
    ]
    report = text_only_oracle(drawn)
    assert report.necessary_share >= 0.6
    assert report.passed()
    assert report == text_only_oracle(drawn)


@pytest.fixture
def scene(upper_abdomen: Masks) -> Scene:
    return measure(upper_abdomen, oriented=True)


def test_an_ideal_reader_uses_what_was_named(scene: Scene) -> None:
    repertoire = Repertoire.of(scene, DialogueSettings())
    counterpart = next(x for x in repertoire.links if x.kind is RelationKind.COUNTERPART)
    assert Reader(repertoire, {}).guess_link(counterpart, (1,)) == 0.5
    assert Reader(repertoire, {1: counterpart.references[0]}).guess_link(counterpart, (1,)) == 1.0
    identity = next(x for x in repertoire.links if x.kind is RelationKind.IDENTITY)
    assert Reader(repertoire, {}).guess_link(identity, (1,)) == pytest.approx(1 / 7)
    ranking = next(rankings(scene, list(scene.shapes)))
    assert Reader(repertoire, {}).guess_link(ranking, (1, 2, 3)) == pytest.approx(1 / 3)
    two_named = {1: ranking.references[0], 2: ranking.references[1]}
    assert Reader(repertoire, two_named).guess_link(ranking, (1, 2, 3)) == 1.0


def test_an_ideal_reader_deduces_what_answers_imply(scene: Scene) -> None:
    repertoire = Repertoire.of(scene, DialogueSettings())
    known: dict[int, str] = {}
    reader = Reader(repertoire, known)
    pair = next(x for x in repertoire.links if x.kind is RelationKind.COUNTERPART)
    reader.note(pair, (1,), 2)
    assert known == {}
    known[2] = pair.target
    reader.deduce()
    assert known[1] == pair.references[0]


def test_sizes_cannot_be_read_from_words(scene: Scene) -> None:
    reader = Reader(Repertoire.of(scene, DialogueSettings()), {1: "liver"})
    assert reader.guess_enquiry(scene, "ask_size", (1,)) == 0.0
    assert reader.guess_enquiry(scene, "ask_name", (1,)) == 1.0
    assert reader.guess_enquiry(scene, "ask_name", (2,)) == pytest.approx(1 / 6)


def test_difficulty_grows_with_what_a_reader_must_do() -> None:
    easiest = difficulty("name", references=0, rounds_back=0, anonymous=0)
    hardest = difficulty("nth_from_top", references=3, rounds_back=4, anonymous=3)
    assert (easiest, hardest) == (0.0, 1.0)
    near = difficulty("counterpart", references=1, rounds_back=1, anonymous=0)
    far = difficulty("counterpart", references=1, rounds_back=2, anonymous=1)
    assert near < far
    assert [level(value) for value in (easiest, 0.5, hardest)] == ["easy", "medium", "hard"]
