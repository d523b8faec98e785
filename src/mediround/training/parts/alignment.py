"""Image and masks in the language model's own words.

What perception hands to the language model starts as noise to it. Here its tokens are drawn to the
word vectors of the names of what they stand for: a mask's tokens to the words of its name, a
neighbour's token to the mean of the words of the neighbour's name, an image token to the names of
what its cell shows, by the share that each covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.model.language_model import LanguageModel
from mediround.model.names import Names

UNKNOWN = -1
"""Stands for a neighbour that is not there, or that is not the only one."""


@dataclass(frozen=True)
class Aligned:
    """A loss summed over what it was taken of, how much that was, and how much was recognised."""

    loss: Tensor
    right: float
    count: int


class Alignment(nn.Module):
    """The goal and a reading aid: linear classifiers that say which entity a token stands for.

    Args:
        language: whose word vectors are the goal.
        entities: names; labels count in their order.
        reference_tokens: tokens of a name.
    """

    words: Tensor
    meaning: Tensor

    def __init__(
        self, language: LanguageModel, entities: Sequence[str], reference_tokens: int
    ) -> None:
        super().__init__()
        self.name = nn.Linear(language.width * reference_tokens, len(entities))
        self.neighbour = nn.Linear(language.width, len(entities))
        self.cell = nn.Linear(language.width, len(entities))
        names = Names(language, entities, reference_tokens)
        self.scale = names.scale
        self.register_buffer("words", names.words, False)
        self.register_buffer("meaning", names.meaning, False)

    def names(self, tokens: Tensor, labels: Sequence[int]) -> Aligned:
        """Tokens (N, R, W) of masks of these entities."""
        truth = torch.tensor(labels)
        scaled = tokens.float() / self.scale
        guess = self.name(scaled.flatten(1))
        loss = F.mse_loss(scaled, self.words[truth]) + F.cross_entropy(guess, truth)
        return Aligned(loss * len(truth), float((guess.argmax(1) == truth).sum()), len(truth))

    def neighbours(self, tokens: Tensor, labels: Sequence[Sequence[int]]) -> Aligned:
        """Tokens (N, kinds, W) and an entity for each, or :data:`UNKNOWN`."""
        truth = torch.tensor(labels)
        known = truth != UNKNOWN
        scaled = tokens.float()[known] / self.scale
        if not len(scaled):
            return Aligned(tokens.new_zeros(()), 0.0, 0)
        guess, truth = self.neighbour(scaled), truth[known]
        apart = (scaled - self.meaning[truth]).pow(2).mean(1)
        loss = (apart + F.cross_entropy(guess, truth, reduction="none")).sum()
        return Aligned(loss, float((guess.argmax(1) == truth).sum()), len(truth))

    def cells(self, tokens: Tensor, shares: Tensor) -> Tensor:
        """Image tokens (cells, W), shares (cells, entities) of each cell, 0..1 -> mean loss.

        Only cells that show a structure are drawn to names; all are to say what they show.
        """
        scaled = tokens.float() / self.scale
        labelled = shares.sum(1).clamp(max=1)
        goal = shares @ self.meaning / shares.sum(1, keepdim=True).clamp(min=1e-3)
        apart = (scaled - goal).pow(2).mean(1)
        pull = (apart * labelled).sum() / labelled.sum().clamp(min=1)
        told = F.binary_cross_entropy_with_logits(self.cell(scaled), shares.clamp(0, 1))
        return pull + 20 * told
