"""What a question means follows from its words and its masks; the model's opinion counts too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mediround.config import QuestionConfig, SceneConfig
from mediround.dialogue import Entity
from mediround.imaging import Image
from mediround.model.codebook import Codebook
from mediround.model.drawing import Drawn
from mediround.model.kv_cache import KeyValueCache
from mediround.model.loading import compose
from mediround.model.mediround import ImageFeatures, MediRound, Spoken
from mediround.model.view import look
from mediround.presets import tiny
from mediround.session import Model
from mediround.session.deduction import Deduced, Deducer, _statements
from mediround.session.knowledge import Learned, Shown
from mediround.session.survey import Survey

NAMES = ("left kidney", "right kidney", "liver", "spleen")
KIDNEY, OTHER_KIDNEY, LIVER, SPLEEN = range(4)
QUESTION = "What is asked for is a matter of the test."

PICTURE = np.random.default_rng(0).random((60, 72))

Deduce = Callable[..., Any]
Says = Callable[[str, list[int]], Model]


@pytest.fixture(scope="module")
def knowing() -> MediRound:
    """A tiny model that means the structure whose place its state is one at."""
    torch.manual_seed(0)
    config = dataclasses.replace(
        tiny(),
        entities=NAMES,
        scene=SceneConfig(width=12, layers=1, heads=2),
        questions=QuestionConfig(layer=1),
    )
    model = compose(config).eval().requires_grad_(False)
    model.language.merge_adapter()
    assert model.codebook is not None
    model.codebook.codes.data.copy_(model.projection(_states(model)))
    return model


def _states(model: MediRound) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(len(NAMES), model.language.width, generator=generator)


def shown(model: MediRound, place: int, side: int = 10, column: int = 20) -> Shown:
    """A mask that is taken for a structure: an L of about ``side`` squared pixels."""
    mask = np.zeros((60, 72), dtype=bool)
    mask[20 : 20 + side, column : column + side] = True
    mask[20, column] = False
    tokens = torch.zeros(sum(p for p in model.perception.reference_form if isinstance(p, int)), 64)
    assert model.names is not None
    assert model.perception.own is not None
    tokens[model.perception.own] = model.names.words[place] * model.names.scale
    return Shown(Entity.from_mask(place + 1, mask, status="given"), tokens)


@pytest.fixture
def deduce(knowing: MediRound, monkeypatch: pytest.MonkeyPatch) -> Deduce:
    """``deduce(asked, shown, meant)``: what comes of a question whose words ask for ``asked``.

    The language model means one structure, and is not quite sure of it.
    """
    monkeypatch.setattr("mediround.model.names._SHARPNESS", 200.0)  # a tiny model's words are short
    view = look(Image.from_array(PICTURE), knowing.config)
    image = knowing.see(*(torch.from_numpy(each) for each in view.pixels))

    def deduced(
        asked: Mapping[str, float], marks: list[Shown], meant: int, axes: str | None = "LP"
    ) -> Deduced | None:
        monkeypatch.setattr(MediRound, "asked", lambda *_: dict(asked))
        deducer = Deducer(knowing, Learned(knowing, image, view, axes))
        states = _states(knowing)
        return deducer.deduce(QUESTION, marks, states.mean(0).lerp(states[meant], 0.25))

    return deduced


def test_a_mask_asked_for_again_is_the_answer(knowing: MediRound, deduce: Deduce) -> None:
    mark = shown(knowing, LIVER)
    assert deduce({"identity": 0.9}, [mark], SPLEEN) == Deduced(LIVER, 0.9, False, mark)
    assert deduce({"identity": 0.9}, [mark], LIVER) == Deduced(LIVER, 0.9, True, mark)


def test_sizes_are_measured(knowing: MediRound, deduce: Deduce) -> None:
    small, large = shown(knowing, LIVER, 8), shown(knowing, SPLEEN, 12)
    assert deduce({"larger_of": 0.9}, [small, large], LIVER).shown is large
    assert deduce({"smaller_of": 0.9}, [small, large], LIVER).shown is small
    assert deduce({"larger_of": 0.9}, [small, shown(knowing, SPLEEN, 8)], LIVER) is None


def test_the_counterpart_is_the_other_of_its_pair(knowing: MediRound, deduce: Deduce) -> None:
    found = deduce({"counterpart": 0.95}, [shown(knowing, KIDNEY)], KIDNEY)
    assert (found.structure, found.agreed, found.shown) == (OTHER_KIDNEY, False, None)
    assert found.certainty > 0.9
    assert deduce({"counterpart": 0.95}, [shown(knowing, LIVER)], KIDNEY) is None


def test_facts_are_looked_up(knowing: MediRound, deduce: Deduce) -> None:
    """The spleen's blood goes to the liver; what drains the spleen is unknown to this model."""
    mark = shown(knowing, SPLEEN)
    found = deduce({"drainage_ends_in": 0.95}, [mark], KIDNEY)
    assert (found.structure, found.agreed, found.shown) == (LIVER, False, None)
    assert deduce({"drains": 0.95}, [mark], KIDNEY) is None


def test_a_fact_that_holds_of_nothing_known_is_not_what_was_asked_for(
    knowing: MediRound, deduce: Deduce
) -> None:
    """Nor is the answer that is left a sure one."""
    found = deduce({"drains": 0.6, "drainage_ends_in": 0.35}, [shown(knowing, SPLEEN)], KIDNEY)
    assert found.structure == LIVER
    assert 0.3 < found.certainty < 0.4


def test_all_structures_of_a_fact_are_equally_likely() -> None:
    names = ("portal vein and splenic vein", "spleen", "stomach", "liver")
    stated = _statements(names, "drained_by")
    assert stated[0].tolist() == [0, 0.5, 0.5, 0]
    assert float(stated.sum()) == 1


def test_what_masks_cannot_tell_is_left_to_the_language_model(
    knowing: MediRound, deduce: Deduce
) -> None:
    mark = shown(knowing, LIVER)
    assert deduce({"identity": 0.4}, [mark], SPLEEN) is None
    assert deduce({}, [mark], SPLEEN) is None
    assert deduce({"identity": 0.9}, [], SPLEEN) is None
    assert deduce({"identity": 0.9}, [mark, shown(knowing, SPLEEN)], SPLEEN) is None
    assert deduce({"left_of": 0.9}, [mark], SPLEEN, axes=None) is None


def test_a_structure_that_is_shown_is_not_drawn_again(knowing: MediRound, deduce: Deduce) -> None:
    """However unclear it is what was asked for."""
    mark = shown(knowing, SPLEEN)
    found = deduce({"identity": 0.45, "drainage_ends_in": 0.25}, [mark], SPLEEN)
    assert (found.structure, found.shown) == (SPLEEN, mark)


def test_nothing_is_deduced_from_an_empty_mask(knowing: MediRound, deduce: Deduce) -> None:
    """The model may have drawn one, and somebody ask what lies beside it."""
    mark = shown(knowing, LIVER)
    nothing = Entity.from_mask(1, np.zeros((60, 72), dtype=bool), status="ok", score=0.1)
    for relation in ("left_of", "nearest_to", "identity", "counterpart"):
        assert deduce({relation: 0.95}, [Shown(nothing, mark.tokens)], SPLEEN) is None


def test_a_rectangle_is_drawn_as_what_it_shows(knowing: MediRound, deduce: Deduce) -> None:
    mark = shown(knowing, LIVER)
    box = np.zeros((60, 72), dtype=bool)
    box[10:30, 10:30] = True
    found = deduce(
        {"identity": 0.9}, [Shown(Entity.from_mask(1, box, status="given"), mark.tokens)], SPLEEN
    )
    assert (found.structure, found.shown) == (LIVER, None)


def test_an_unknown_structure_can_be_asked_for_again(knowing: MediRound, deduce: Deduce) -> None:
    mark = shown(knowing, LIVER)
    strange = Shown(mark.entity, -mark.tokens)
    assert deduce({"identity": 0.9}, [strange], SPLEEN).shown is strange


def test_neighbours_are_looked_for_where_everything_is_drawn(
    knowing: MediRound,
    deduce: Deduce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = np.zeros((len(NAMES), 60, 72), dtype=bool)
    for place, column in ((LIVER, 5), (KIDNEY, 40), (SPLEEN, 60)):
        drawn[place, 20:30, column : column + 10] = True
    survey = Survey(NAMES, drawn, torch.full((len(NAMES),), 0.9), "LP")
    monkeypatch.setattr(Learned, "survey", survey)
    assert knowing.deduction is not None
    weights = torch.zeros_like(knowing.deduction.weights)
    weights[:, 2], weights[:, 8] = 4.0, -4.0  # clearly there, nothing nearer
    monkeypatch.setattr(knowing.deduction, "weights", torch.nn.Parameter(weights))
    mark = shown(knowing, OTHER_KIDNEY)
    assert deduce({"left_of": 0.95}, [mark], LIVER).structure == KIDNEY
    assert deduce({"right_of": 0.95}, [mark], SPLEEN).structure == LIVER
    assert deduce({"right_of": 0.95}, [mark], LIVER).agreed


@pytest.fixture
def overruled(make_model: Callable[[], Model], monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that always says "The liver is [n].", and whose questions mean something else."""
    model = make_model()
    network = model.network
    object.__setattr__(network.config, "entities", NAMES)

    def says(vectors: Tensor, *, cache: KeyValueCache, **_: object) -> Spoken:
        return network.repeat(vectors, cache, network.prompter.answer("The liver is [9].", 9))

    monkeypatch.setattr(network, "say", says)
    monkeypatch.setattr(Deducer, "deduce", lambda *_: Deduced(OTHER_KIDNEY, 0.81, agreed=False))
    return model


def test_an_answer_that_names_another_structure_is_said_anew(overruled: Model) -> None:
    heard: list[str] = []
    session = overruled.open(PICTURE)
    turn = session.ask("Kidney?", told=heard.append)
    assert turn.text == "The right kidney is [1]."
    assert heard[-1] == turn.text
    assert session.entities[1].name == "right kidney"


def test_what_follows_is_read_behind_the_words_that_were_said(
    overruled: Model, make_model: Callable[[], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the other words had never been there."""
    texts = ("The right kidney is [1].", "The right kidney is [2].")
    told = overruled.open(PICTURE)
    corrected = [told.ask(query).entities[0].mask for query in ("Kidney?", "And [1]?")]
    monkeypatch.undo()
    plain = make_model().open(PICTURE)
    said = [
        plain.ask(query, text=text).entities[0].mask
        for query, text in zip(("Kidney?", "And [1]?"), texts, strict=True)
    ]
    for one, other in zip(corrected, said, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)


def test_a_relation_is_not_answered_with_a_mere_name(
    overruled: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word that begins such an answer is barred, unless it is the name that is asked for."""
    network, barred = overruled.network, []
    says = network.say

    def names(  # type: ignore[no-untyped-def]  # as MediRound.say has them
        vectors, *, cache, reluctant, **others
    ) -> Spoken:
        barred.append({token for token, nats in reluctant.items() if nats == torch.inf})
        if barred[-1]:
            return says(vectors, cache=cache, reluctant=reluctant, **others)
        return network.repeat(vectors, cache, network.prompter.answer("That is the liver.", 1))

    monkeypatch.setattr(network, "say", names)
    for chances, answers in (({"behind": 0.9}, 1), ({"identity": 0.9}, 0), ({"behind": 0.6}, 0)):
        monkeypatch.setattr(MediRound, "asked", lambda *_, said=chances: dict(said))
        session = overruled.open(PICTURE)
        session.add_mask(np.eye(60, 72, dtype=bool))
        assert len(session.ask("What is behind [1]?").entities) == answers
    assert [len(each) for each in barred] == [0, 1, 0, 0]


@pytest.fixture
def meaning(knowing: MediRound, overruled: Model, monkeypatch: pytest.MonkeyPatch) -> Says:
    """``meaning(said, places)``: a model that says this and means those; nothing is deduced."""
    network = overruled.network
    monkeypatch.setattr(network, "codebook", knowing.codebook)
    monkeypatch.setattr(network, "projection", knowing.projection)
    monkeypatch.setattr(network, "names", None)
    monkeypatch.setattr(Deducer, "deduce", lambda *_: None)

    def meant(said: str, places: list[int]) -> Model:
        def says(vectors: Tensor, *, cache: KeyValueCache, **_: object) -> Spoken:
            spoken = network.repeat(vectors, cache, network.prompter.answer(said, 1))
            return dataclasses.replace(spoken, states=_states(knowing)[places])

        monkeypatch.setattr(network, "say", says)
        return overruled

    return meant


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ([LIVER, LIVER], "The liver is [1]."),
        ([LIVER, SPLEEN], "The liver is [1] and the liver is [2]."),
    ],
)
def test_one_structure_is_drawn_once(meaning: Says, places: list[int], text: str) -> None:
    """Whatever its names: what is drawn twice is what the states mean."""
    model = meaning("The liver is [1] and the liver is [2].", places)
    heard: list[str] = []
    turn = model.open(PICTURE).ask("Which is nearest?", told=heard.append)
    assert turn.text == text
    assert len(turn.entities) == text.count("[")
    assert heard == [text] * (places[0] == places[1])


@pytest.mark.parametrize(
    ("said", "presence", "text"),
    [
        ("The liver is [1].", 0.005, "There is no liver in this image."),
        ("The liver is [1].", 0.02, "The liver is [1]."),
        ("There is no liver in this image.", 0.99, "The liver is [1]."),
        ("There is no liver in this image.", 0.9, "There is no liver in this image."),
        ("There is no spleen in this image.", 0.99, "There is no spleen in this image."),
        ("There is no reason to worry.", 0.99, "There is no reason to worry."),
    ],
)
def test_what_is_clearly_there_or_not_has_the_last_word(
    meaning: Says, monkeypatch: pytest.MonkeyPatch, said: str, presence: float, text: str
) -> None:
    there = torch.full((len(NAMES),), 0.5)
    there[LIVER] = presence
    monkeypatch.setattr(Learned, "presence", there)
    heard: list[str] = []
    turn = (
        meaning(said, [LIVER] * said.count("["))
        .open(PICTURE)
        .ask("What bleeds?", told=heard.append)
    )
    assert turn.text == text
    assert heard == [text] * (said != text)
    assert [each.mask is not None for each in turn.entities] == ["[1]" in text]


LARYNX = "I have not learned to outline the larynx."


@pytest.mark.parametrize(
    ("query", "said", "certainty", "text"),
    [
        ("Larynx?", "The larynx is [1].", 0.3, LARYNX),
        ("Larynx?", "The larynx is [1].", 0.9, "The larynx is [1]."),  # "unsure" says enough
        ("Larynx?", "There is no larynx in this image.", 0.9, "There is no larynx in this image."),
        ("Larynx?", "There is no liver in this image.", 0.9, LARYNX),
        ("Larynx?", "The liver is [1].", 0.9, LARYNX),
        ("Spleen?", "The liver is [1].", 0.9, "The spleen is [1]."),
        ("Left kidney?", "The liver is [1].", 0.9, "There is no left kidney in this image."),
        ("Liver?", "The liver is [1].", 0.3, "The liver is [1]."),
        ("What bleeds?", "It is [1].", 0.3, "It is [1]."),
    ],
)
def test_what_is_named_is_what_is_answered_about(
    meaning: Says,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    said: str,
    certainty: float,
    text: str,
) -> None:
    there = torch.tensor([0.001, 0.5, 0.5, 0.5])
    monkeypatch.setattr(Learned, "presence", there)
    near = torch.tensor([LIVER]), torch.tensor([certainty])
    monkeypatch.setattr(Codebook, "nearest", lambda *_: near)
    turn = meaning(said, [LIVER] * said.count("[")).open(PICTURE).ask(query)
    assert turn.text == text
    assert [each.mask is not None for each in turn.entities] == [True] * ("[1]" in text) + [
        False
    ] * text.startswith("There is no")


def test_a_question_about_masks_is_not_denied(
    meaning: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learned, "presence", torch.zeros(len(NAMES)))
    session = meaning("It is [1].", [LIVER]).open(PICTURE)
    session.add_mask(np.eye(60, 72, dtype=bool))
    assert session.ask("What lies behind [1]?").text == "It is [2]."
    assert session.ask("And the liver?").text == "There is no liver in this image."


def test_words_that_are_given_stand(overruled: Model) -> None:
    session = overruled.open(PICTURE)
    assert session.ask("Kidney?", text="The liver is [1].").text == "The liver is [1]."


def test_an_answer_without_a_name_is_drawn_as_what_is_meant(
    overruled: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int | None] = []
    draw = overruled.network.draw

    def watched(image: ImageFeatures, states: Tensor, structure: int | None = None) -> Drawn:
        drawn.append(structure)
        return draw(image, states)

    monkeypatch.setattr(overruled.network, "draw", watched)
    session = overruled.open(PICTURE)
    turn = session.ask("Kidney?", text="It is [1].")
    assert turn.text == "It is [1]."
    assert drawn == [OTHER_KIDNEY]
