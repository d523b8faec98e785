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
    assert sum(model.questions(torch.randn(1, 3, 64), ANY)[0].exp()[:-1]) < 0.05
    _learn(model.questions)
    model.eval().requires_grad_(False)
    model.language.merge_adapter()
    return model


def _learn(reader: QuestionReader) -> None:
    """Anything, as long as it depends on the words."""
    torch.manual_seed(0)
    for name, parameter in reader.named_parameters():
        if ".told." in name:
            torch.nn.init.normal_(parameter)


def test_masks_are_numbered_in_the_order_of_their_mention() -> None:
    assert plainly("Which of [7] and [3] is [7]?") == "Which of [1] and [2] is [1]?"
    assert plainly("The liver.") == "The liver."


def test_padding_says_nothing() -> None:
    reader = QuestionReader(CONFIG, 16).eval()
    _learn(reader)
    states, mask = torch.randn(1, 5, 16), torch.ones(1, 5, dtype=torch.bool)
    padded = torch.cat([states, torch.randn(1, 3, 16)], 1)
    longer = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(reader(padded, longer), reader(states, mask))


def test_members_are_heard_together() -> None:
    reader = QuestionReader(CONFIG, 16).eval()
    _learn(reader)
    states = torch.randn(1, 3, 16)
    each = [reader.heard_by(member, states, ANY).softmax(-1) for member in range(CONFIG.members)]
    assert len(each) > 1
    assert not torch.allclose(each[0], each[1])
    torch.testing.assert_close(reader(states, ANY).exp(), sum(each) / len(each))


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
