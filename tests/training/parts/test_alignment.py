"""Tokens that already are their names cost nothing but the reading; wrong ones cost more."""

from __future__ import annotations

import pytest
import torch

from mediround.config import LanguageConfig
from mediround.model.language_model import LanguageModel
from mediround.training.parts.alignment import UNKNOWN, Alignment

NAMES = ("liver", "spleen", "left kidney")


@pytest.fixture
def alignment() -> Alignment:
    torch.manual_seed(0)
    made = Alignment(LanguageModel.build(LanguageConfig(), torch.float32), NAMES, 4)
    return made.requires_grad_(False)


def test_a_names_own_words_are_nearest_to_it(alignment: Alignment) -> None:
    words = alignment.words * alignment.scale
    right = alignment.names(words, [0, 1, 2])
    wrong = alignment.names(words, [1, 2, 0])
    assert right.count == 3
    assert float(right.loss) < float(wrong.loss)


def test_unknown_neighbours_are_not_counted(alignment: Alignment) -> None:
    tokens = (alignment.meaning * alignment.scale)[[0, 1, 2, 0]].view(2, 2, -1)
    some = alignment.neighbours(tokens, [[0, UNKNOWN], [UNKNOWN, UNKNOWN]])
    none = alignment.neighbours(tokens, [[UNKNOWN] * 2] * 2)
    assert some.count == 1
    assert (none.count, float(none.loss)) == (0, 0.0)
    changed = tokens.clone()
    changed[1] += 1
    assert float(alignment.neighbours(changed, [[0, UNKNOWN], [UNKNOWN] * 2]).loss) == float(
        some.loss
    )


def test_empty_cells_are_drawn_to_no_name(alignment: Alignment) -> None:
    shares = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    mixed = (alignment.meaning[0] + alignment.meaning[1]) / 2
    torch.nn.init.zeros_(alignment.cell.weight)
    near = torch.stack([torch.ones_like(mixed), mixed]) * alignment.scale
    far = torch.stack([-torch.ones_like(mixed), mixed]) * alignment.scale
    assert float(alignment.cells(near, shares)) == pytest.approx(
        float(alignment.cells(far, shares))
    )
    off = torch.stack([torch.ones_like(mixed), -mixed]) * alignment.scale
    assert float(alignment.cells(off, shares)) > float(alignment.cells(near, shares))
