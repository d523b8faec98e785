"""What is known of the structures of one image, by whoever learned them.

Everything here is in the order of ``names``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mediround.dialogue import Entity
from mediround.geometry import mask_to_box
from mediround.model.mediround import ImageFeatures, MediRound
from mediround.model.view import View
from mediround.session.survey import Survey


@dataclass(frozen=True)
class Shown:
    """A mask that the question refers to, and its tokens."""

    entity: Entity
    tokens: Tensor

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """In the image's pixels."""
        assert self.entity.mask is not None  # or the question would have been refused
        return self.entity.mask.decode()

    @property
    def has_shape(self) -> bool:
        """A rectangle says where something is, and not what it looks like."""
        box = mask_to_box(self.mask)
        return box is not None and int(self.mask.sum()) < box.width * box.height

    @property
    def score(self) -> float:
        """What a person drew counts as right."""
        return 1.0 if self.entity.score is None else self.entity.score


class Knowledge(Protocol):
    """Structures, where they are, and what a mask shows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The structures."""

    @property
    def survey(self) -> Survey | None:
        """All of them in this image; None where nothing tells."""

    def taken(self, mark: Shown) -> Tensor:
        """Which structure a mask is taken for: probabilities (names,), at most 1 in all."""

    def beside(self, mark: Shown, relation: str) -> Tensor:
        """What perception sees in ``relation`` to a mask: log probabilities (names,)."""

    def opinion(self, state: Tensor) -> Tensor:
        """What the language model means by its state (W,): log probabilities (names,)."""


class Learned:
    """What the language model was taught, found by the scene; surveyed when first needed.

    Args:
        model: the composition.
        image: as it sees it.
        view: the way to the image's pixels.
        axes: where columns and rows lead in the patient ("LP"); None where nobody knows.
    """

    def __init__(
        self, model: MediRound, image: ImageFeatures, view: View, axes: str | None
    ) -> None:
        self.model, self.image, self.view, self.axes = model, image, view, axes
        self.names = model.config.entities if model.perception.own is not None else ()

    @property
    def kept_bytes(self) -> int:
        """Memory of what was seen in the image."""
        survey = vars(self).get("survey")
        return 0 if survey is None else survey.masks.nbytes

    @cached_property
    def survey(self) -> Survey | None:
        """See :class:`Knowledge`."""
        if self.model.scene is None:
            return None
        odds, there = self.model.survey(self.image)
        return Survey(self.names, self.view.masks(odds), there, self.axes)

    @cached_property
    def presence(self) -> Tensor | None:
        """Whether each structure is in the image, (names,), 0..1; None where nothing tells."""
        if self.model.scene is None or self.model.deduction is None or not self.model.deducing:
            return None
        return self.model.survey(self.image)[1]

    def taken(self, mark: Shown) -> Tensor:
        """By the tokens of the mask."""
        assert self.model.names is not None
        own = mark.tokens[self.model.perception.own]
        return self.model.names.chances(own[None])[0, :-1].exp()

    def beside(self, mark: Shown, relation: str) -> Tensor:
        """By the tokens of the mask."""
        return self.model.beside(mark.tokens, relation)

    def opinion(self, state: Tensor) -> Tensor:
        """By the nearest codes."""
        assert self.model.codebook is not None
        return self.model.codebook.chances(self.model.projection(state.float()[None]))[0]
