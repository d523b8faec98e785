"""Which view what draws or tells structures apart learns from next."""

from collections.abc import Mapping, Sequence

import numpy as np

from mediround.training.parts.features import FeatureStore
from mediround.training.parts.recipe import Recipe


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


class TrainingViews:
    """Draws training views of all data sets, each data set as often as its share says.

    Args:
        recipe: names data sets and shares.
        store: their views.
        balanced_share: see :class:`ViewChoice`.
    """

    def __init__(self, recipe: Recipe, store: FeatureStore, balanced_share: float) -> None:
        self._choices = {
            d.folder: ViewChoice(
                {row: list(store.masks(row)) for row in store.rows("train", d.folder)},
                balanced_share,
            )
            for d in recipe.datasets
        }
        shares = np.array([d.share for d in recipe.datasets])
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> tuple[str, int, int | None]:
        """A data set, one of its views, and the entity for whose sake it was drawn, if for any."""
        dataset = list(self._choices)[rng.choice(len(self._shares), p=self._shares)]
        return dataset, *self._choices[dataset].draw(rng)
