"""A structure that a question shows as a mask keeps that mask, where it is the better one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediround.model.drawing import Drawn
from mediround.model.mediround import ImageFeatures
from mediround.session import Model
from mediround.session.entities import SessionEntity

Pictures = Callable[[int], NDArray[np.float64]]


def shape_of(entity: SessionEntity) -> NDArray[np.bool_]:
    assert entity.mask is not None
    return entity.mask


def judge(model: Model, score: float, patch: pytest.MonkeyPatch) -> None:
    """Let the judge find everything equally well drawn."""
    draw = model.network.draw

    def judged(image: ImageFeatures, states: Tensor) -> Drawn:
        drawn = draw(image, states)
        return replace(drawn, scores=torch.full_like(drawn.scores, score))

    patch.setattr(model.network, "draw", judged)


SURE = 0.81**0.125
"""What is left of a score by the doubt of :func:`certain`."""


@pytest.fixture
def certain(make_model: Callable[[], Model], monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that takes every answer for the structure of the first mask referred to."""
    model = make_model()

    def same(states: Tensor, references: Tensor) -> Tensor:
        chances = torch.zeros(len(states), len(references))
        chances[:, 0] = 0.81
        return chances

    monkeypatch.setattr(model.network, "same", same)
    return model


def test_what_is_shown_as_a_mask_is_not_drawn_again(
    certain: Model, picture: Pictures, square: NDArray[np.bool_]
) -> None:
    session, shape = certain.open(picture(1)), square.copy()
    shape[20, 10] = False
    session.add_mask(shape)
    answer = session.ask("What is [1]?", text="It is [2].").entities[0]
    assert np.array_equal(shape_of(answer), shape)
    assert answer.score == pytest.approx(SURE)  # a person's mask counts as right


def test_a_kept_mask_is_no_better_than_it_was(
    certain: Model,
    picture: Pictures,
    square: NDArray[np.bool_],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = certain.open(picture(1))
    drawn = session.ask("Liver?", text="It is [1].").entities[0]
    judge(certain, 0.3, monkeypatch)
    again = session.ask("What is [1]?", text="It is [2].").entities[0]
    assert np.array_equal(shape_of(again), shape_of(drawn))
    assert again.score == pytest.approx(SURE * (drawn.score or 0))
    drawn.replace(square ^ shape_of(drawn))
    corrected = session.ask("What is [1]?", text="It is [3].").entities[0]
    assert np.array_equal(shape_of(corrected), square ^ shape_of(again))
    assert corrected.score == pytest.approx(SURE)


@pytest.mark.parametrize(
    ("corrected", "score"),
    [(False, 0.99), (True, SURE)],
    ids=["a better drawing is not given up for a likeness", "a correction stands against it"],
)
def test_a_well_drawn_answer(
    certain: Model,
    picture: Pictures,
    square: NDArray[np.bool_],
    monkeypatch: pytest.MonkeyPatch,
    corrected: bool,
    score: float,
) -> None:
    judge(certain, 0.99, monkeypatch)
    session, shape = certain.open(picture(1)), square.copy()
    shape[20, 10] = False
    if corrected:
        session.ask("Liver?", text="It is [1].").entities[0].replace(shape)
    else:
        session.add_mask(shape)
    answer = session.ask("What is [1]?", text="It is [2].").entities[0]
    assert np.array_equal(shape_of(answer), shape) == corrected
    assert answer.score == pytest.approx(score)


def test_a_rectangle_only_says_where(
    certain: Model, model: Model, picture: Pictures, square: NDArray[np.bool_]
) -> None:
    drawn = []
    for each in (certain, model):
        session = each.open(picture(1))
        session.add_mask(square)
        drawn.append(shape_of(session.ask("What is [1]?", text="It is [2].").entities[0]))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], square)
