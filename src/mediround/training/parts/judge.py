"""Stage 2: the judge learns to tell good masks from bad ones.

It is shown masks of the trained decoder on training views. A decoder draws its own training
images too well, so quality is spread on purpose: noise on the features, noise on the codes, codes
of other structures, codes of structures that are not there.
"""

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from mediround.model.checkpoint import load_exactly, read_tensors, write_tensors
from mediround.model.judgment import Judge
from mediround.model.scene import Scene, Seen
from mediround.model.segmenter import Segmenter
from mediround.training.losses import mask_iou
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.recipe import Recipe
from mediround.training.progress import Ledger, cosine

logger = logging.getLogger(__name__)


class JudgePart:
    """Collects judged masks once, then trains the judge on them; minutes in all."""

    def __init__(
        self, recipe: Recipe, store: FeatureStore, masks: Path, scene: Path, folder: Path
    ) -> None:
        self.recipe, self.settings, self.store = recipe, recipe.judge, store
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        self.segmenter = Segmenter(recipe.model).eval().requires_grad_(False)
        load_exactly(self.segmenter, read_tensors(masks / "segmenter.safetensors"), "segmenter")
        self.codes = read_tensors(masks / "codes.safetensors")["tokens"]
        self.scene = None
        if recipe.model.scene is not None:
            self.scene = Scene.build(recipe.model, len(store.entities))
            load_exactly(self.scene, read_tensors(scene / "scene.safetensors"), "scene")
        torch.manual_seed(recipe.seed)
        self.judge = Judge(recipe.model.decoder)

    def train(self) -> None:
        """Write ``judge.safetensors``; log the loss and the error on a fifth of the images."""
        evidence, truth = self._collected()
        held = torch.arange(len(truth)) * 10 // len(truth) % 5 == 4  # whole images
        optimiser = torch.optim.AdamW(
            self.judge.parameters(), self.settings.rate, weight_decay=0.05
        )
        seen, goal = evidence[~held], truth[~held]
        modules = {"judge": self.judge}
        for step in self.ledger.steps("judge", self.settings.steps, modules, optimiser):
            rng = np.random.default_rng((self.recipe.seed, 4, step))
            pick = torch.from_numpy(rng.integers(len(goal), size=256))
            for group in optimiser.param_groups:
                group["lr"] = self.settings.rate * cosine(step, self.settings.steps, 20)
            loss = F.binary_cross_entropy_with_logits(self.judge.weigh(seen[pick]), goal[pick])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 100 == 0:
                with torch.no_grad():
                    error = (self.judge.weigh(evidence[held]).sigmoid() - truth[held]).abs().mean()
                self.ledger.log(step=step, loss=loss.item(), error=error.item())
        write_tensors(self.ledger.folder / "judge.safetensors", self.judge.state_dict(), {})

    def _collected(self) -> tuple[Tensor, Tensor]:
        path = self.ledger.folder / "evidence.safetensors"
        if not path.exists():
            evidence, truth = self._collect()
            write_tensors(path, {"evidence": evidence, "truth": truth}, {})
        tensors = read_tensors(path)
        return tensors["evidence"], tensors["truth"]

    @torch.inference_mode()
    def _collect(self) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.recipe.seed, 3))
        rows = []
        for dataset in self.recipe.datasets:
            own = self.store.rows("train", dataset.folder)
            rows += list(rng.choice(own, min(len(own), self.settings.images_per_dataset), False))
        evidence, truth = [], []
        for row in tqdm(rows, desc="evidence"):
            found, quality = self._draw(int(row), rng)
            evidence.append(found)
            truth.append(quality)
        return torch.cat(evidence), torch.cat(truth)

    def _draw(self, row: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        masks = self.store.masks(row)
        wanted = list(masks)
        features = self.store.features([row])
        noise = torch.from_numpy(rng.standard_normal(features.shape).astype(np.float32))
        features = features + noise.to(features.dtype) * float(rng.choice([0, 0.1, 0.25, 0.5]))
        names = self.store.datasets[self.store.views[row].dataset]
        family = [self.store.entities.index(name) for name in names]
        asked = [e if rng.random() > 0.15 else int(rng.choice(family)) for e in wanted]
        prompts = self.codes[torch.tensor(asked)]
        shake = torch.from_numpy(rng.standard_normal(prompts.shape).astype(np.float32))
        prompts = prompts + shake * self.codes.std() * float(rng.choice([0.1, 0.3, 0.6]))
        with torch.autocast("cpu", torch.bfloat16):
            image = self.segmenter.tail(features)
            decoded = self.segmenter.decode(image, prompts[None])
        if self.scene is not None:
            odds = self.scene.odds(features, image)[asked]
            seen = Seen(odds, self.scene.share[asked], torch.ones(len(odds)))
            decoded = seen.added_to(decoded)
        empty = np.zeros(self.store.labels.shape[1:], dtype=bool)
        targets = torch.from_numpy(np.stack([masks.get(entity, empty) for entity in asked]))
        drawn = (decoded.logits[0] > 0).any(-1).any(-1)  # a mask of nothing is good for nothing
        return self.judge.evidence(decoded)[0], mask_iou(decoded.logits[0], targets) * drawn
