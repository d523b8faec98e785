"""Talks -> examples: prompts, masks in the view's pixels, and the features of frozen parts."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from mediround.dialogue import Dialogue
from mediround.geometry import BoolMask
from mediround.model.mediround import MediRound
from mediround.prompt import IMAGE_KEY, Prompt
from mediround.training.augment import Augmentation
from mediround.training.staged.example import Example, Features
from mediround.training.staged.feature_cache import FeatureCache
from mediround.training.staged.sight import Shown, Sight, Variation
from mediround.training.staged.talks import Talk

logger = logging.getLogger(__name__)

_LEAST_LEFT = 0.5
"""Of a mask's area: a random view that cuts off more is not used for this dialogue."""


@dataclass(frozen=True)
class Size:
    """What a talk costs.

    Attributes:
        length: positions of its prompt.
        words: of them, those that the model learns to say.
        masks: that it asks for.
    """

    length: int
    words: int
    masks: int


class Examples:
    """Makes examples of one model.

    Args:
        model: whose prompts, and whose eyes.
        sight: of that model.
        cache: for the features.
        augmentation: of random views.
        seed: of random views.
    """

    def __init__(
        self,
        model: MediRound,
        sight: Sight,
        cache: FeatureCache,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.model, self.sight, self.cache = model, sight, cache
        self.augmentation, self.seed = augmentation, seed

    def size(self, talk: Talk) -> Size:
        """What it costs, without reading its pixels."""
        prompt = self._prompt(talk.dialogue)
        return Size(len(prompt.ids), len(prompt.supervised), len(prompt.seg))

    @torch.no_grad()
    def make(self, talk: Talk, view: int = 0) -> Example:
        """A talk about one view of its image.

        Args:
            talk: any.
            view: 0 is the plain image; others are random, but always the same. Where such a view
                loses much of a mask, the plain image is taken.
        """
        dialogue = talk.dialogue
        prompt = self._prompt(dialogue)
        wanted = {number for _, number in prompt.seg}
        wanted |= {slot.key for slot in prompt.slots if slot.key != IMAGE_KEY}
        image = talk.pictured.image()
        masks = {e.id: e.mask.decode() for e in dialogue.entities() if e.id in wanted and e.mask}
        name = f"{talk.pictured.key}-{view}"
        shown = self.sight.show(image, self._variation(name) if view else None)
        placed = {number: self.sight.place(shown, mask) for number, mask in masks.items()}
        if view and self._is_cut(shown, masks, placed):
            return self.make(talk)
        seen = self.cache.get(self._key(name), lambda: self.sight.see(shown))
        marks = {
            slot.key: self._mark(shown, name, placed[slot.key])
            for slot in prompt.slots
            if slot.key != IMAGE_KEY
        }
        drawn = [placed[number] for _, number in prompt.seg]
        targets = torch.from_numpy(np.stack(drawn) if drawn else np.zeros((0, 1, 1), bool))
        return Example(name, prompt, seen, marks, targets, self.sight.frame(shown))

    def _mark(self, shown: Shown, name: str, placed: BoolMask) -> Features:
        if not self.sight.costly_marks:
            return self.sight.mark(shown, placed)
        digest = hashlib.sha256(np.packbits(placed).tobytes()).hexdigest()
        return self.cache.get(self._key(f"{name}-{digest}"), lambda: self.sight.mark(shown, placed))

    def _key(self, name: str) -> str:
        """File of a feature: of views that are random, whatever makes them so is part of it."""
        plain = name.split("-")[1] == "0"
        settings = "" if plain else f"{self.seed} {self.augmentation}"
        return hashlib.sha256(f"{name} {settings}".encode()).hexdigest()[:32]

    def _variation(self, name: str) -> Variation:
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        return Variation(self.augmentation, int.from_bytes(digest[:8], "little"))

    def _is_cut(
        self, shown: Shown, masks: Mapping[int, BoolMask], placed: Mapping[int, BoolMask]
    ) -> bool:
        plain = Shown(shown.view)
        return any(
            placed[number].sum() < _LEAST_LEFT * self.sight.place(plain, mask).sum()
            or not placed[number].any()
            for number, mask in masks.items()
        )

    def _prompt(self, dialogue: Dialogue) -> Prompt:
        return self.model.prompter.write(dialogue.rounds)
