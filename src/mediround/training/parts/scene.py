"""Stage 1, beside the masks: the scene learns what every place of an image shows.

On cached features and the trained tail, which stays as it is; every structure of an image teaches
at once. What stands in no label of a data set counts as absent.
"""

import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mediround.errors import ConfigError
from mediround.model.checkpoint import load_exactly, read_tensors, write_tensors
from mediround.model.loading import load_unmerged
from mediround.model.scene import Scene, Seen
from mediround.model.segmenter import Segmenter
from mediround.training.losses import scene_loss
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.recipe import Recipe
from mediround.training.parts.view_choice import TrainingViews
from mediround.training.progress import Ledger, cosine

logger = logging.getLogger(__name__)

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much the scene may count beside the decoder."""


class ScenePart:
    """Trains the scene; resumes from its ledger."""

    def __init__(self, recipe: Recipe, store: FeatureStore, masks: Path, folder: Path) -> None:
        self.recipe, self.settings, self.store = recipe, recipe.scene, store
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        self.segmenter = Segmenter(recipe.model).eval().requires_grad_(False)
        load_exactly(self.segmenter, read_tensors(masks / "segmenter.safetensors"), "segmenter")
        self.codes = read_tensors(masks / "codes.safetensors")["tokens"]
        torch.manual_seed(recipe.seed)
        self.scene = Scene.build(recipe.model, len(store.entities))
        if self.settings.start is not None:
            self._go_on_from(self.settings.start)
        self.optimiser = torch.optim.AdamW(
            [p for p in self.scene.parameters() if p.requires_grad],
            self.settings.rate,
            weight_decay=0.01,
        )
        self.views = TrainingViews(recipe, store, self.settings.balanced_share)
        self._grids: dict[int, Tensor] = {}

    def _go_on_from(self, name: str) -> None:
        """Take a trained model's scene; what it tells of entities that it knows not begins anew."""
        other = load_unmerged(name)
        if other.scene is None:
            raise ConfigError(
                f"{name} has no scene",
                expected="a model that tells structures apart",
                remedy="leave out start under [scene]",
            )
        state = other.scene.state_dict()
        own = self.scene.state_dict()
        places = {entity: place for place, entity in enumerate(other.config.entities)}
        for key in ("tell.weight", "tell.bias", "share"):
            none = key != "share"  # of what is told, the first is of nothing
            trained, state[key] = state[key], own[key]
            state[key][:none] = trained[:none]
            for place, entity in enumerate(self.store.entities):
                if entity in places:
                    state[key][place + none] = trained[places[entity] + none]
        self.scene.load_state_dict(state)

    def train(self) -> None:
        """Run to the last step, then write ``scene.safetensors``."""
        modules = {"scene": self.scene}
        for step in self.ledger.steps("scene", self.settings.steps, modules, self.optimiser):
            loss = self.step(step)
            self.ledger.show(loss=loss)
            if step % 20 == 0:
                self.ledger.log(step=step, loss=loss)
            if (step + 1) % 250 == 0:
                scores = self.validate()
                self.ledger.log(step=step + 1, validation=scores)
                logger.info("step %d: %s", step + 1, scores)
        self.weigh()
        write_tensors(self.ledger.folder / "scene.safetensors", self.scene.state_dict(), {})

    def step(self, step: int) -> float:
        """One optimiser step over several images; their mean loss."""
        rng = np.random.default_rng((self.recipe.seed, 8, step))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * cosine(step, self.settings.steps, 50)
        total = 0.0
        for _ in range(self.settings.images):
            _, row, _ = self.views.draw(rng)
            labels = torch.from_numpy(self.store.labels[row].astype(np.int64))
            loss = scene_loss(self._seen(row), labels) / self.settings.images
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.scene.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return total

    def _grid(self, row: int) -> Tensor:
        if row not in self._grids:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                grid = self.segmenter.tail(self.store.features([row]))
            self._grids[row] = grid.to(torch.bfloat16)
        return self._grids[row]

    def _seen(self, row: int) -> Tensor:
        """Logits (entities + 1, canvas, canvas) of one view."""
        features, grid = self.store.features([row]).float(), self._grid(row).float()
        return self.scene(features, grid)[0]  # type: ignore[no-any-return]  # modules return Any

    @torch.inference_mode()
    def weigh(self) -> None:
        """Choose how much the scene counts for each structure, by plain training views.

        The least share that comes near the best: the decoder goes back to one that saw the images
        of many hospitals, the scene knows those of training alone.
        """
        rng = np.random.default_rng((self.recipe.seed, 9))
        found: dict[int, list[list[float]]] = defaultdict(list)
        for dataset in (d.folder for d in self.recipe.datasets):
            rows = [r for r in self.store.rows("train", dataset) if not self.store.views[r].view]
            chosen = rng.permutation(rows)[: self.settings.weighed]
            for row in tqdm(chosen.tolist(), desc=f"weighing {dataset}"):
                for place, dices in self._compared(row).items():
                    found[place].append(dices)
        for place, compared in sorted(found.items()):
            means = np.mean(compared, axis=0)
            near = means >= means.max() - self.settings.least_gain
            self.scene.share[place] = SHARES[int(near.argmax())]
            self.ledger.log(
                structure=self.store.entities[place],
                masks=len(compared),
                dice=dict(zip(SHARES, means.round(4).tolist(), strict=True)),
            )

    def _compared(self, row: int) -> dict[int, list[float]]:
        """Dice of each structure of a view with each of ``SHARES``."""
        masks = self.store.masks(row)
        grid = self._grid(row)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.segmenter.decode(grid, self.codes[list(masks)][None])
        odds = self.scene.odds(self.store.features([row]), grid)[list(masks)]
        truth = torch.from_numpy(np.stack(list(masks.values())))
        dices: dict[int, list[float]] = {place: [] for place in masks}
        for share in SHARES:
            seen = Seen(odds, torch.full((len(odds),), share), torch.ones(len(odds)))
            drawn = seen.added_to(decoded).logits[0] > 0
            overlap = 2 * (drawn & truth).sum((1, 2)) / (drawn.sum((1, 2)) + truth.sum((1, 2)))
            for place, dice in zip(masks, overlap.tolist(), strict=True):
                dices[place].append(dice)
        return dices

    @torch.inference_mode()
    def validate(self, most: int = 40) -> dict[str, float]:
        """Mean Dice at canvas resolution over validation masks, by data set."""
        scores: dict[str, list[float]] = defaultdict(list)
        for dataset in (d.folder for d in self.recipe.datasets):
            rows = self.store.rows("validation", dataset)
            for row in rows[:: max(1, len(rows) // most)]:
                drawn = self._seen(row).argmax(0).numpy() - 1
                for place, mask in self.store.masks(row).items():
                    found = drawn == place
                    overlap = 2 * (found & mask).sum() / (found.sum() + mask.sum())
                    scores[dataset].append(float(overlap))
        return {dataset: round(float(np.mean(found)), 4) for dataset, found in scores.items()}
