"""A mask's tokens are read as the name whose words they are nearest to, or as none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mediround.config import LanguageConfig
from mediround.model.language_model import LanguageModel
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.names import Names
from mediround.presets import tiny

NAMES = ("liver", "spleen", "left kidney", "left lung")


@pytest.fixture(scope="module")
def names() -> Names:
    torch.manual_seed(0)
    return Names(LanguageModel.build(LanguageConfig(), torch.float32), NAMES, 4)


def test_a_names_own_words_are_read_as_it(names: Names) -> None:
    chances = names.chances(names.words * names.scale).exp()
    assert chances.shape == (4, 5)
    assert (chances.diagonal() > 0.6).all()
    torch.testing.assert_close(chances.sum(1), torch.ones(4))


def test_names_that_begin_alike_are_told_apart_by_their_ends(names: Names) -> None:
    """All tokens of "left kidney" and "left lung" but the last are equal: a byte each."""
    assert torch.equal(names.words[2, :3], names.words[3, :3])
    assert not torch.equal(names.words[2, 3], names.words[3, 3])


def test_what_is_like_no_name_is_none_of_them(names: Names) -> None:
    opposite = -names.words * names.scale
    assert (names.chances(opposite).argmax(1) == len(NAMES)).all()


@pytest.fixture(scope="module")
def knowing() -> MediRound:
    """A tiny model whose codes are what it means at four states."""
    torch.manual_seed(0)
    model = compose(dataclasses.replace(tiny(), entities=NAMES)).eval().requires_grad_(False)
    assert model.codebook is not None
    model.codebook.codes.data.copy_(model.projection(_states(model)))
    return model


def _states(model: MediRound) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(len(NAMES), model.language.width, generator=generator)


def test_an_answer_means_the_mask_of_its_own_structure(knowing: MediRound) -> None:
    assert knowing.names is not None
    assert knowing.perception.own is not None
    tokens = sum(p for p in knowing.perception.reference_form if isinstance(p, int))
    references = torch.zeros(2, tokens, knowing.language.width)
    spleen_and_lung = knowing.names.words[[1, 3]] * knowing.names.scale
    references[:, knowing.perception.own] = spleen_and_lung
    same = knowing.same(_states(knowing), references)
    assert same.shape == (4, 2)
    assert (same > 0.5).nonzero().tolist() == [[1, 0], [3, 1]]


def test_a_model_that_knows_no_names_means_no_mask(tiny: MediRound) -> None:
    states = torch.ones(2, tiny.language.width)
    assert tiny.same(states, torch.ones(3, 5, tiny.language.width)).tolist() == [[0.0] * 3] * 2
