"""Which view of a data set the decoder learns from next."""

from collections.abc import Mapping, Sequence

import numpy as np


class ViewChoice:
    """Draws views: any, or for the sake of one entity, the rare ones as often as the others.

    Args:
        shown: view -> the entities that it shows.
        balanced_share: of the draws, 0..1, that are for the sake of an entity.
    """

    def __init__(self, shown: Mapping[int, Sequence[int]], balanced_share: float) -> None:
        self.views = list(shown)
        self.balanced_share = balanced_share
        self.holders: dict[int, list[int]] = {}
        for view, entities in shown.items():
            for entity in entities:
                self.holders.setdefault(entity, []).append(view)

    def draw(self, rng: np.random.Generator) -> tuple[int, int | None]:
        """A view, and the entity for whose sake it was drawn, if for any."""
        if self.balanced_share == 0 or rng.random() >= self.balanced_share:
            return int(rng.choice(self.views)), None
        sought = int(rng.choice(list(self.holders)))
        return int(rng.choice(self.holders[sought])), sought
