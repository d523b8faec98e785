"""Stage 1, on its own: the parcellation learns heads from images made of label maps."""

import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mediround.config import ParcellationConfig
from mediround.errors import ConfigError
from mediround.model.checkpoint import write_tensors
from mediround.model.parcellation import Parcellation, expected_overlap
from mediround.training.losses import parcellation_loss
from mediround.training.parts.pictures import Kind, Pictures
from mediround.training.parts.recipe import Recipe
from mediround.training.progress import Ledger, cosine

logger = logging.getLogger(__name__)


class ParcellationPart:
    """Trains the parcellation; resumes from its ledger.

    Args:
        recipe: the whole run.
        data: folder that holds the data sets.
        folder: of this part.
        workers: processes that make images.
    """

    def __init__(self, recipe: Recipe, data: Path, folder: Path, workers: int) -> None:
        if recipe.parcellation is None or recipe.model.parcellation is None:
            raise ConfigError(
                "nothing is said about the parcellation",
                expected="[parcellation] in the recipe, and a preset that has one",
            )
        self.recipe, self.settings = recipe, recipe.parcellation
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        self.pictures = Pictures.made(
            recipe, self.settings.heads, data, folder / "pictures", workers
        )
        config = settled(recipe, folder)
        self.weights = self._balanced()
        torch.manual_seed(recipe.seed)
        self.network = Parcellation(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), self.settings.rate, weight_decay=0.01
        )

    def _balanced(self) -> Tensor:
        """Weights (structures + 1,) of pixels: of what is k times as rare, the root of k."""
        counts = np.zeros(len(self.pictures.entities) + 1)
        for row in _spread(self.pictures.count("train"), 400):
            labels = self.pictures.of("train", row)[1]
            counts += np.bincount(labels.ravel(), minlength=len(counts))
        return torch.from_numpy((counts / counts.sum() + 1e-5) ** -0.5).float()

    def train(self) -> None:
        """Run to the last step, then write ``parcellation.safetensors``."""
        modules = {"parcellation": self.network}
        steps = self.settings.steps
        for step in self.ledger.steps("parcellation", steps, modules, self.optimiser):
            loss = self.step(step)
            self.ledger.show(loss=loss)
            if step % 50 == 0:
                self.ledger.log(step=step, loss=loss)
            if (step + 1) % 1000 == 0:
                scores = self.validate()
                self.ledger.log(step=step + 1, validation=scores)
                logger.info("step %d: %s", step + 1, scores)
        self.calibrate()
        path = self.ledger.folder / "parcellation.safetensors"
        write_tensors(path, self.network.state_dict(), {})

    def step(self, step: int) -> float:
        """One optimiser step over several images; their loss."""
        rng = np.random.default_rng((self.recipe.seed, 12, step))
        for group in self.optimiser.param_groups:
            warmup = min(100, self.settings.steps // 10)
            group["lr"] = self.settings.rate * cosine(step, self.settings.steps, warmup)
        pixels, labels = self._drawn(rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network.coarse(pixels)
        loss = parcellation_loss(logits.float(), labels, self.weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.item()

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pixels (B, side, side), 0..1, of random views; labels, int64, at half their side."""
        settings = self.settings
        strange = rng.random(settings.images) < settings.strange_share
        canvases, labels = [], []
        for each in strange:
            kind: Kind = "strange" if each else "train"
            row = int(rng.integers(self.pictures.count(kind)))
            canvas, told = self.pictures.of(kind, row)
            canvases.append(canvas)
            labels.append(told)
        pixels = torch.from_numpy(np.stack(canvases))[:, None].float() / 255
        truth = torch.from_numpy(np.stack(labels))[:, None].float()
        size = 1 / rng.uniform(*settings.scale, settings.images)
        moved = rng.uniform(-2, 2, (settings.images, 2)) * settings.shift
        matrices = np.zeros((settings.images, 2, 3), np.float32)
        matrices[:, 0, 0] = matrices[:, 1, 1] = size
        matrices[:, :, 2] = moved
        theta, shape = torch.from_numpy(matrices), pixels.shape
        grid = F.affine_grid(theta, list(shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, mode="bilinear", align_corners=False)
        coarse = F.affine_grid(
            theta, [*shape[:2], *(n // 2 for n in shape[2:])], align_corners=False
        )
        truth = F.grid_sample(truth, coarse, mode="nearest", align_corners=False)
        power = np.exp(rng.uniform(-1, 1, settings.images) * np.log(settings.gamma))
        pixels = pixels ** torch.from_numpy(power).float()[:, None, None, None]
        return pixels[:, 0], truth[:, 0].long()

    @torch.inference_mode()
    def validate(self, most: int = 150) -> dict[str, float]:
        """Mean Dice over structures of made images of validation heads, by structure.

        ``strange``: the share of other images' pixels that are taken for a structure.
        """
        found: dict[str, list[float]] = defaultdict(list)
        for row in _spread(self.pictures.count("validation"), most):
            drawn, labels = self._told("validation", row)
            for value in np.unique(labels[labels > 0]):
                mine, truth = drawn == value, labels == value
                name = self.network.entities[value - 1]
                found[name].append(float(2 * (mine & truth).sum() / (mine.sum() + truth.sum())))
        scores = {name: round(float(np.mean(each)), 3) for name, each in sorted(found.items())}
        wrong = [
            (self._told("strange", row)[0] > 0).mean()
            for row in _spread(self.pictures.count("strange"), most)
        ]
        mean = round(float(np.mean(list(scores.values()))), 3)
        return {"mean": mean, **scores, "strange": round(float(np.mean(wrong)), 5)}

    def calibrate(self, most: int = 600) -> None:
        """Fit how far the network's own expectation of a mask is to be trusted.

        On made images of validation heads.
        """
        expected, true = [], []
        with torch.inference_mode():
            for row in _spread(self.pictures.count("validation"), most):
                canvas, labels = self.pictures.of("validation", row)
                odds = self.network.odds(torch.from_numpy(canvas).float() / 255)
                drawn = odds > 0
                truth = torch.from_numpy(labels) == torch.arange(1, len(odds) + 1)[:, None, None]
                there = drawn.sum((1, 2)) > 0
                union = (drawn | truth).sum((1, 2)).clamp(min=1)
                true.append(((drawn & truth).sum((1, 2)) / union)[there])
                expected.append(expected_overlap(odds)[there].logit())
        target = torch.cat(true).double()
        if not len(target):
            logger.warning("nothing is drawn yet: scores are what the network expects")
            return
        numbers = torch.stack([torch.cat(expected), torch.ones(len(target))], dim=1).double()
        trust = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
        optimiser = torch.optim.LBFGS([trust], max_iter=100)

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(numbers @ trust, target)
            loss.backward()
            return loss

        optimiser.step(closure)
        fitted = trust.detach()
        self.network.trust.data.copy_(fitted)
        error = ((numbers @ fitted).sigmoid() - target).abs().mean()
        self.ledger.log(trust=fitted.tolist(), masks=len(target), error=round(float(error), 4))

    def _told(self, kind: Kind, row: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        canvas, labels = self.pictures.of(kind, row)
        pixels = torch.from_numpy(canvas)[None].float() / 255
        return self.network(pixels)[0].argmax(0).numpy(), labels


def settled(recipe: Recipe, folder: Path) -> ParcellationConfig:
    """The recipe's sizes, with the structures of the pictures in ``folder``."""
    assert recipe.model.parcellation is not None
    entities = tuple(Pictures(folder / "pictures").entities)
    return replace(recipe.model.parcellation, entities=entities)


def _spread(count: int, most: int) -> range:
    return range(0, count, max(1, count // most))
