"""Questions about a head are answered by what the parcellation shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from mediround.config import ParcellationConfig
from mediround.geometry import BoolMask
from mediround.imaging import Image, Modality
from mediround.imaging.image import Edges
from mediround.model.kv_cache import KeyValueCache
from mediround.model.loading import compose
from mediround.model.mediround import MediRound, Spoken
from mediround.model.parcellation import Parcellation
from mediround.presets import tiny
from mediround.session import Model, Session
from mediround.session.deduction import Deduced

NAMES = ("left thalamus", "right thalamus", "left putamen", "brainstem")
LEFT, RIGHT, PUTAMEN, STEM = range(4)
PICTURE = np.random.default_rng(0).random((64, 64))

Says = Callable[[str], Session]


@pytest.fixture(scope="module")
def network() -> MediRound:
    config = dataclasses.replace(
        tiny(), parcellation=ParcellationConfig(entities=NAMES, widths=(4, 6)), entities=("liver",)
    )
    model = compose(config).eval().requires_grad_(False)
    model.language.merge_adapter()
    return model


def odds() -> Tensor:
    """Thalami beside each other, the putamen beside the left one; no brainstem."""
    told = torch.full((len(NAMES), 64, 64), -9.0)
    told[LEFT, 20:30, 36:46] = told[RIGHT, 20:30, 18:28] = 6.0
    told[PUTAMEN, 20:30, 50:56] = 1.0
    return told


@pytest.fixture
def says(network: MediRound, monkeypatch: pytest.MonkeyPatch) -> Says:
    """``says(text)``: a session about a head with a model that always says ``text``."""
    monkeypatch.setattr(Parcellation, "odds", lambda *_: odds())
    model = Model(network, "tiny", "0" * 64)

    def session(text: str) -> Session:
        def say(vectors: Tensor, *, cache: KeyValueCache, **_: object) -> Spoken:
            return network.repeat(vectors, cache, network.prompter.answer(text, 1))

        monkeypatch.setattr(network, "say", say)
        return model.open(PICTURE)

    return session


def asks(monkeypatch: pytest.MonkeyPatch, relation: str) -> None:
    monkeypatch.setattr(MediRound, "asked", lambda *_: {relation: 0.95})


def places(session: Session, numbers: Sequence[int]) -> list[int]:
    """Columns where masks begin."""
    found = []
    for number in numbers:
        mask = session.entities[number].mask
        assert mask is not None
        found.append(int(mask.any(0).argmax()))
    return found


@pytest.mark.parametrize(
    ("query", "said", "text", "columns"),
    [
        ("Left thalamus?", "The liver is [1].", "The left thalamus is [1].", [36]),
        ("Left thalamus?", "There is no liver in this image.", "The left thalamus is [1].", [36]),
        ("Left thalamus?", "It is [1].", "It is [1].", [36]),
        (
            "The thalamus, please.",
            "The liver is [1].",
            "The left thalamus is [1] and the right thalamus is [2].",
            [36, 18],
        ),
        (
            "The left putamen and the brainstem.",
            "The liver is [1].",
            "The left putamen is [1]. There is no brainstem in this image.",
            [50],
        ),
        ("Brainstem?", "The liver is [1].", "There is no brainstem in this image.", []),
        ("And what beside it?", "The left putamen is [1].", "The left putamen is [1].", [50]),
        ("Small intestine?", "The liver is [1].", "There is no small bowel in this image.", []),
        ("What bleeds?", "The liver is [1].", "There is no liver in this image.", []),
        ("Who wrote about the thalamus?", "Many did.", "Many did.", []),
    ],
)
def test_structures_are_drawn_by_their_names(
    says: Says, query: str, said: str, text: str, columns: list[int]
) -> None:
    session = says(said)
    heard: list[str] = []
    turn = session.ask(query, told=heard.append)
    assert turn.text == text
    drawn = [entity.id for entity in turn.entities if entity.mask is not None]
    assert places(session, drawn) == columns
    assert heard == [text] * (text != said)


def test_scores_are_those_of_the_parcellation(says: Says, network: MediRound) -> None:
    assert network.parcellation is not None
    session = says("It is [1].")
    sure, unsure = (session.ask(q).entities[0].score for q in ("Left thalamus?", "Left putamen?"))
    expected = network.parcellation.scores(odds())
    assert sure == pytest.approx(float(expected[LEFT]), abs=1e-4)
    assert unsure == pytest.approx(float(expected[PUTAMEN]), abs=1e-4)
    assert session.entities[1].status == "ok"


def roughly_left() -> BoolMask:
    """The left thalamus by another hand."""
    mask = np.zeros(PICTURE.shape, dtype=bool)
    mask[19:29, 37:47] = True
    mask[19, 37] = False
    return mask


def test_a_relation_is_found_from_any_mask(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    session = says("The liver is [2].")
    session.add_mask(roughly_left())
    asks(monkeypatch, "counterpart")
    turn = session.ask("What is the other one of [1]?")
    assert turn.text == "The right thalamus is [2]."
    assert places(session, [2]) == [18]


def test_what_is_deduced_may_be_absent(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediround.session.head._LEAST", 70)  # the putamen has 60
    session = says("It is [2].")
    session.add_mask(PICTURE > 0.5)
    monkeypatch.setattr(
        "mediround.session.deduction.Deducer.deduce",
        lambda *_: Deduced(PUTAMEN, 0.9, agreed=False),
    )
    turn = session.ask("What lies behind [1]?")
    assert turn.text == "There is no left putamen in this image."
    assert session.entities[2].status == "absent"


def test_what_is_asked_for_again_is_kept(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    session = says("A liver is [2].")
    session.add_mask(roughly_left())
    asks(monkeypatch, "identity")
    turn = session.ask("Outline [1] again.")
    assert turn.text == "The left thalamus is [2]."
    assert np.array_equal(np.asarray(turn.entities[0].mask), roughly_left())


def test_a_mask_is_told_by_its_name(says: Says) -> None:
    session = says("That is the liver.")
    mask = np.zeros(PICTURE.shape, dtype=bool)
    mask[20:30, 18:28] = True
    session.add_mask(mask)
    assert session.ask("What is [1] called?").text == "That is the right thalamus."


def test_given_words_are_drawn(says: Says) -> None:
    session = says("")
    turn = session.ask("Both.", text="The right thalamus is [1] and the left putamen is [2].")
    assert places(session, [1, 2]) == [18, 50]
    assert turn.text.startswith("The right")


def test_given_words_without_a_name_draw_what_is_asked_for(
    says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = says("")
    session.ask("Left thalamus?", text="It is [1].")
    asks(monkeypatch, "counterpart")
    session.ask("The other one of [1]?", text="It is [2].")
    assert places(session, [1, 2]) == [36, 18]


CORONAL = Edges(left="R", right="L", top="S", bottom="I")
AXIAL = Edges(left="R", right="L", top="A", bottom="P")
UNLEARNED = "I have not learned to outline the left thalamus."


@pytest.mark.parametrize(
    ("edges", "modality", "text"),
    [
        (AXIAL, Modality.MR, "The left thalamus is [1]."),
        (None, Modality.UNKNOWN, "The left thalamus is [1]."),
        (CORONAL, Modality.MR, UNLEARNED),
        (AXIAL, Modality.CT, UNLEARNED),
    ],
)
def test_heads_are_told_in_axial_slices_of_mr(
    says: Says, edges: Edges | None, modality: Modality, text: str
) -> None:
    image = Image(pixels=PICTURE, directions=edges, modality=modality)
    assert says("The liver is [1].").model.open(image).ask("Left thalamus?").text == text
