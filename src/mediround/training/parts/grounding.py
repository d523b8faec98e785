"""What the views of a feature store show, as goals of perception."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediround.model.perception import Perception
from mediround.model.position import PositionCode
from mediround.training.parts.alignment import UNKNOWN, Aligned, Alignment
from mediround.training.parts.conversations import Conversations, coverage
from mediround.training.parts.features import FeatureStore


class Grounding:
    """Compares perception's tokens with the labels of the view that they were read from.

    Args:
        perception: what reads.
        position: of the segmenter.
        alignment: what the tokens are drawn to.
        store: views and their labels.
        talks: knows which structure is whose only neighbour.
    """

    def __init__(
        self,
        perception: Perception,
        position: PositionCode,
        alignment: Alignment,
        store: FeatureStore,
        talks: Conversations,
    ) -> None:
        self.perception, self.position, self.alignment = perception, position, alignment
        self.store, self.talks = store, talks
        around = perception.surroundings
        self.kinds = () if around is None else around.kinds

    def measure(
        self, views: Sequence[tuple[int, Mapping[str, NDArray[np.bool_]]]]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss over whole views, (row, name -> mask) each, and what to log of it."""
        names, neighbours, cells = [], [], []
        for row, drawn in views:
            features = self.store.features([row])[0].float()
            masks = torch.stack([coverage(m, features.shape[-1]) for m in drawn.values()])
            tokens = self.perception.read(features, masks, self.position)
            known, around = self.masks(row, tokens, list(drawn))
            names.append(known)
            neighbours.append(around)
            cells.append(self.cells(row, self.perception.image(features[None], self.position)[0]))
        parts = (_mean(names), _mean(neighbours), torch.stack(cells).mean())
        return torch.stack(parts).sum(), {
            "alignment": parts[0].item(),
            "right": _share(names),
            "neighbours": parts[1].item(),
            "neighbours right": _share(neighbours),
            "cells": parts[2].item(),
        }

    def masks(self, row: int, tokens: Tensor, names: Sequence[str]) -> tuple[Aligned, Aligned]:
        """Tokens (N, R, W) of one view's masks against their names and their neighbours' names."""
        index = self.store.entities.index
        own = self.perception.own
        known = self.alignment.names(tokens[:, own], [index(name) for name in names])
        if not self.kinds:
            return known, Aligned(tokens.new_zeros(()), 0.0, 0)
        around = self.talks.neighbours(row, names, self.kinds)
        labels = [[UNKNOWN if n is None else index(n) for n in each] for each in around]
        return known, self.alignment.neighbours(tokens[:, own.stop :], labels)

    def cells(self, row: int, tokens: Tensor) -> Tensor:
        """Image tokens (cells, W) of one view against what covers their cells: a mean loss."""
        grid = self.perception.image.grid
        shares = torch.zeros(grid * grid, len(self.store.entities))
        for entity, mask in self.store.masks(row).items():
            shares[:, entity] = coverage(mask, grid).flatten()
        return self.alignment.cells(tokens, shares)


def _mean(found: Sequence[Aligned]) -> Tensor:
    return torch.stack([each.loss for each in found]).sum() / max(1, sum(e.count for e in found))


def _share(found: Sequence[Aligned]) -> float:
    return sum(each.right for each in found) / max(1, sum(each.count for each in found))
