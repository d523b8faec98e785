"""A tiny model that takes boxes: its trunk is that of a tiny "published" LiteMedSAM."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from mediround.model.box_prompt import SOURCE, BoxMasks
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.segmenter import Segmenter
from mediround.model.vision_encoder import fold_batch_norms
from mediround.presets import tiny


@contextmanager
def boxy() -> Iterator[MediRound]:
    """While it lasts, the published weights are tiny and random."""
    network = compose(tiny())
    assert isinstance(network.segmenter, Segmenter)
    published = copy.deepcopy(network.segmenter)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in published.decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    corners = torch.randn(2, 16, generator=generator)
    network.config = dataclasses.replace(network.config, vision_source=SOURCE)
    network.eval().requires_grad_(False)
    network.language.merge_adapter()
    fold_batch_norms(network.segmenter)

    def load(_config: object) -> tuple[Segmenter, Tensor]:
        return copy.deepcopy(published), corners

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediround.model.box_prompt.pretrained_segmenter", load)
        yield network


class Filler(nn.Module):
    """In place of ``BoxPrompt``: finds exactly what each box covers, on ``side`` squared cells."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.asked: list[Tensor] = []

    def forward(self, trunk: Tensor, boxes: Tensor) -> BoxMasks:
        """See ``BoxPrompt``."""
        self.asked.append(trunk)
        centres = (torch.arange(self.side) + 0.5) / self.side
        inside = (centres > boxes[:, 0, :, None]) & (centres < boxes[:, 1, :, None])
        logits = (inside[:, 1, :, None] & inside[:, 0, None, :]).float() * 2 - 1
        return BoxMasks(logits, torch.ones(len(boxes)))
