"""Endless training dialogues over the views of a feature store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings, build_dialogue, twins
from mediround.data.scene.relations import RelationKind, Scene
from mediround.data.sources import Split
from mediround.data.words import wording
from mediround.dialogue import Dialogue, Round
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.recipe import Recipe

TWIN_KINDS: Mapping[RelationKind, float] = {
    RelationKind.IDENTITY: 1.5,
    RelationKind.COUNTERPART: 2.5,
    RelationKind.SIBLING: 0.5,
    RelationKind.LARGER_OF: 2.0,
    RelationKind.SMALLER_OF: 2.0,
    RelationKind.LEFT_OF: 2.5,
    RelationKind.RIGHT_OF: 2.5,
    RelationKind.IN_FRONT_OF: 2.5,
    RelationKind.BEHIND: 2.5,
    RelationKind.BETWEEN: 0.5,
    RelationKind.NEAREST_TO: 1.5,
    RelationKind.TOUCHING: 1.0,
}
"""How often twins of a kind are tried; many slices show no counterparts to make twins of."""


@dataclass(frozen=True)
class Sample:
    """One dialogue about one view: ``row`` of the store, and a mask for each entity number."""

    row: int
    dialogue: Dialogue
    masks: Mapping[int, NDArray[np.bool_]]


class Conversations:
    """Draws samples; equal generators draw equal samples."""

    def __init__(
        self,
        recipe: Recipe,
        store: FeatureStore,
        oriented: Mapping[str, bool],
        *,
        patients: Split = "train",
        chats: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Of one split's ``patients``; those of validation are asked for in held-out words.

        ``chats``: questions and answers without a mask, drawn as the recipe's replay.
        """
        self.chats = chats
        self.recipe, self.store, self.oriented = recipe, store, oriented
        self.words: wording.Split = "train" if patients == "train" else "heldout"
        self.rows = {d.folder: store.rows(patients, d.folder) for d in recipe.datasets}
        shares = np.array([d.share for d in recipe.datasets])
        self.shares = shares / shares.sum()
        self._scene = lru_cache(maxsize=4000)(self._measure)

    def draw(
        self, count: int, rng: np.random.Generator, twin_share: float, *, identity: bool = False
    ) -> list[Sample]:
        """``count`` samples; twins come two by two. ``identity``: twins of that kind alone."""
        samples: list[Sample] = []
        while len(samples) < count:
            dataset = self.recipe.datasets[rng.choice(len(self.shares), p=self.shares)].folder
            row = int(rng.choice(self.rows[dataset]))
            if not (masks := self._masks(row)):
                continue
            if self.chats and rng.random() < self.recipe.language.replay_share:
                samples.append(self._chat(row, rng))
            elif identity or rng.random() < twin_share:
                samples += self._twins(row, dataset, masks, rng, identity)
            else:
                samples += self._dialogue(row, dataset, masks, rng)
        return samples[:count]

    def draw_masks(
        self, count: int, rng: np.random.Generator, *, plain: bool = False
    ) -> list[tuple[int, dict[str, NDArray[np.bool_]]]]:
        """``count`` views with all their masks, roughened: (row, name -> mask).

        ``plain``: of the slices as they are alone.
        """
        drawn: list[tuple[int, dict[str, NDArray[np.bool_]]]] = []
        while len(drawn) < count:
            dataset = self.recipe.datasets[rng.choice(len(self.shares), p=self.shares)].folder
            row = int(rng.choice(self.rows[dataset]))
            if plain and self.store.views[row].view:
                continue
            if masks := self._masks(row):
                drawn.append((row, {name: _roughened(mask, rng) for name, mask in masks.items()}))
        return drawn

    def neighbours(
        self, row: int, names: Sequence[str], kinds: Sequence[str]
    ) -> list[list[str | None]]:
        """For each structure what the only one in each relation to it is, if there is one."""
        oriented = self.oriented[self.store.views[row].dataset]
        known = {
            (link.references[0], link.kind.value): link.target
            for link in self._scene(row, oriented).links
            if len(link.references) == 1
        }
        return [[known.get((name, kind)) for kind in kinds] for name in names]

    def _masks(self, row: int) -> dict[str, NDArray[np.bool_]]:
        named = {self.store.entities[k]: mask for k, mask in self.store.masks(row).items()}
        return {name: mask for name, mask in named.items() if mask.sum() >= 20}

    def _measure(self, row: int, oriented: bool) -> Scene:
        return Scene(self._masks(row), anatomy.load(), oriented=oriented)

    def _settings(self) -> DialogueSettings:
        return replace(self.recipe.language.mixture, wording_split=self.words)

    def _chat(self, row: int, rng: np.random.Generator) -> Sample:
        question, answer = self.chats[int(rng.integers(len(self.chats)))]
        return Sample(row, Dialogue(rounds=(Round(query=question, text=answer),)), {})

    def _dialogue(
        self, row: int, dataset: str, masks: dict[str, NDArray[np.bool_]], rng: np.random.Generator
    ) -> list[Sample]:
        dialogue = build_dialogue(
            masks,
            rng,
            settings=self._settings(),
            modality=None,
            oriented=self.oriented[dataset],
            region_names=self.store.datasets[dataset],
            scene=self._scene(row, self.oriented[dataset]),
            complete=True,  # what a slice of a fully labelled volume has no label of is not there
        )
        return [_sample(row, dialogue, masks, rng)]

    def _twins(
        self,
        row: int,
        dataset: str,
        masks: dict[str, NDArray[np.bool_]],
        rng: np.random.Generator,
        identity: bool,
    ) -> list[Sample]:
        weights = np.array(list(TWIN_KINDS.values()))
        drawn = list(TWIN_KINDS)[rng.choice(len(weights), p=weights / weights.sum())]
        pairs = twins(
            masks,
            RelationKind.IDENTITY if identity else drawn,
            rng,
            settings=self._settings(),
            modality=None,
            oriented=self.oriented[dataset],
            scene=self._scene(row, self.oriented[dataset]),
        )
        if not pairs:
            return []
        return [_sample(row, each, masks, rng) for each in pairs[int(rng.integers(len(pairs)))]]


def orientations(recipe: Recipe, data: Path) -> dict[str, bool]:
    """Data set -> whether its pictures show sides as a radiologist expects."""
    return {d.folder: d.open(data).oriented for d in recipe.datasets}


def _sample(
    row: int, dialogue: Dialogue, masks: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator
) -> Sample:
    shown = {
        entity.id: _roughened(masks[entity.name], rng)
        for entity in dialogue.entities()
        if entity.name is not None and entity.name in masks and entity.mask is not None
    }
    return Sample(row, dialogue, shown)


def _roughened(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """As a model or a hurried person would draw it: grown, shrunk, shifted, or as it is."""
    choice = rng.integers(4)
    amount = int(rng.integers(1, 4))
    if choice == 0:
        return np.asarray(ndimage.binary_dilation(mask, iterations=amount))
    if choice == 1:
        smaller = np.asarray(ndimage.binary_erosion(mask, iterations=amount))
        return smaller if smaller.sum() > 8 else mask
    if choice == 2:
        shift = tuple(int(n) for n in rng.integers(-amount, amount + 1, 2))
        return np.roll(mask, shift, axis=(0, 1))
    return mask


def coverage(mask: NDArray[np.bool_], side: int) -> Tensor:
    """Share of each grid cell that a canvas mask covers: float32 (side, side), 0..1."""
    cell = mask.shape[0] // side
    return torch.from_numpy(mask.reshape(side, cell, side, cell).mean((1, 3), dtype=np.float32))
