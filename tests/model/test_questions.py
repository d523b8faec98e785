"""Questions are read from their words alone, by the pretrained layers below."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mediround.config import QuestionConfig
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.questions import QuestionReader, plainly
from mediround.presets import tiny

CONFIG = QuestionConfig(relations=("behind", "identity"), layer=1, heads=2, width=8)
ANY = torch.ones(1, 3, dtype=torch.bool)


@pytest.fixture(scope="module")
def reading() -> MediRound:
    model = compose(dataclasses.replace(tiny(), questions=CONFIG))
    assert model.questions is not None
    assert sum(model.questions(torch.randn(1, 3, 64), ANY)[0].softmax(-1)[:-1]) < 0.05
    torch.manual_seed(0)
    for parameter in model.questions.told.parameters():
        torch.nn.init.normal_(parameter)
    model.eval().requires_grad_(False)
    model.language.merge_adapter()
    return model


def test_masks_are_numbered_in_the_order_of_their_mention() -> None:
    assert plainly("Which of [7] and [3] is [7]?") == "Which of [1] and [2] is [1]?"
    assert plainly("The liver.") == "The liver."


def test_padding_says_nothing() -> None:
    torch.manual_seed(0)
    reader = QuestionReader(CONFIG, 16).eval()
    torch.nn.init.normal_(reader.told.weight)
    states, mask = torch.randn(1, 5, 16), torch.ones(1, 5, dtype=torch.bool)
    padded = torch.cat([states, torch.randn(1, 3, 16)], 1)
    longer = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(reader(padded, longer), reader(states, mask))


def test_chances_of_relations_leave_a_rest(reading: MediRound) -> None:
    chances = reading.asked("What lies behind [4]?")
    assert list(chances) == ["behind", "identity"]
    assert 0 < sum(chances.values()) < 1
    assert chances == reading.asked("What lies behind [9]?")
    assert chances != reading.asked("What lies before [9]?")


def test_without_a_reader_nothing_is_known() -> None:
    assert compose(tiny()).asked("What lies behind [4]?") == {}


def test_hearing_stops_after_the_layers_asked_for(reading: MediRound) -> None:
    """And leaves the model as it was."""
    language = reading.language
    ids = torch.tensor([language.tokenizer.encode("behind [1]")])
    mask = torch.ones_like(ids, dtype=torch.bool)
    layers, norm = len(language.inner.model.layers), language.inner.model.norm
    said = language.inner.model(inputs_embeds=language.embed(ids), output_hidden_states=True)
    torch.testing.assert_close(language.hear(ids, mask, 1), said.hidden_states[1])
    assert len(language.inner.model.layers) == layers
    assert language.inner.model.norm is norm
