"""A turn without the adapter: plain talk that draws nothing and disturbs nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mediround.errors import QueryError
from mediround.model.merged import SwitchableLinear
from mediround.session import Model
from mediround.session.talk import plain_answer

Pictures = Callable[[int], NDArray[np.float64]]


@pytest.fixture(autouse=True)
def short_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_answer, "__kwdefaults__", {"longest": 5, "told": None})


def test_it_draws_nothing_and_later_rounds_go_on(model: Model, picture: Pictures) -> None:
    session = model.open(picture(0))
    first = session.ask("Segment the liver.", text="The liver is [1].")
    talk = session.ask("What is [1] good for?", adapter=False)
    assert talk.entities == ()
    assert session.dialogue.rounds[-1].query == "What is [1] good for?"
    again = session.ask("Segment what touches [1].", text="It is [2].")
    assert [entity.id for entity in (*first.entities, *again.entities)] == [1, 2]
    assert session.undo()
    assert session.undo()
    assert len(session.turns) == 1


def test_it_does_not_depend_on_the_image(model: Model, picture: Pictures) -> None:
    said = {model.open(picture(seed)).ask("Hello!", adapter=False).text for seed in range(3)}
    assert len(said) == 1


@torch.inference_mode()
def test_it_is_what_the_pretrained_weights_say(make_model: Callable[[], Model]) -> None:
    model = make_model()
    language = model.network.language
    heard: list[str] = []
    said = plain_answer(
        language, model.open(np.eye(40)).dialogue, "Tell me more.", longest=9, told=heard.append
    )
    assert heard[-1] == said
    for layer in language.inner.modules():
        if isinstance(layer, SwitchableLinear):
            assert isinstance(layer.merged, nn.Linear)
            layer.merged.weight -= layer.scale * layer.up @ layer.down
            layer.up.zero_()
    dialogue = model.open(np.eye(40)).dialogue
    assert plain_answer(language, dialogue, "Tell me more.", longest=9) == said


def test_a_dialogue_that_is_too_long(model: Model, picture: Pictures) -> None:
    session = model.open(picture(0))
    with pytest.raises(QueryError, match="has grown to"):
        plain_answer(model.network.language, session.dialogue, "x" * model.network.language.context)
