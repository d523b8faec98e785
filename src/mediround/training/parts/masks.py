"""Stage 1, first part: decoder, entity codes and the encoder's tail, on cached features.

Each entity of the data has a *code*: the prompt tokens that make the decoder draw it. The
language part learns to say codes; here the decoder learns to draw them. A code starts as the
corners of the entity's median box plus a random token, because a single random token collapses.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mediround.geometry import mask_to_box
from mediround.model.checkpoint import write_tensors
from mediround.model.loading import load_unmerged
from mediround.model.pretrained import pretrained_segmenter
from mediround.model.segmenter import Segmenter
from mediround.training.losses import dice_loss, focal_loss
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.recipe import Recipe
from mediround.training.parts.view_choice import TrainingViews
from mediround.training.progress import Ledger, cosine

logger = logging.getLogger(__name__)


class CodeBook(nn.Module):
    """Prompt tokens of every entity: (entities, T, D)."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens = nn.Parameter(tokens)

    def forward(self, entities: Tensor) -> Tensor:
        """Numbers (N,) -> prompt tokens (N, T, D)."""
        return self.tokens[entities]


def initial_codes(
    store: FeatureStore, segmenter: Segmenter, corners: Tensor, tokens: int
) -> Tensor:
    """(entities, tokens, D): corners of each entity's median box, then random tokens."""
    canvas = store.labels.shape[-1]
    boxes: dict[int, list[tuple[float, ...]]] = {}
    for row in store.rows("train"):
        for entity, mask in store.masks(row).items():
            box = mask_to_box(mask)
            assert box is not None
            boxes.setdefault(entity, []).append(box.normalised((canvas, canvas)))
    generator = torch.Generator().manual_seed(0)
    codes = []
    for entity in range(len(store.entities)):
        median = torch.tensor(np.median(boxes[entity], axis=0), dtype=torch.float32).view(2, 2)
        placed = segmenter.position(median) + corners
        free = torch.randn(tokens - 2, corners.shape[1], generator=generator) * 0.5
        codes.append(torch.cat([placed, free]))
    return torch.stack(codes)


class MasksPart:
    """Trains segmenter and codes; resumes from its ledger."""

    def __init__(self, recipe: Recipe, store: FeatureStore, folder: Path) -> None:
        self.recipe, self.settings, self.store = recipe, recipe.masks, store
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        self.segmenter, corners = pretrained_segmenter(recipe.model)
        tokens = recipe.model.decoder.prompt_tokens
        self.codes = CodeBook(initial_codes(store, self.segmenter, corners, tokens))
        if self.settings.start is not None:
            self._go_on_from(self.settings.start)
        self._choose_trainable()
        vision, decoder = self.segmenter.vision, self.segmenter.decoder
        tail = [*vision.layers[-1].parameters(), *vision.neck.parameters()]
        rest = [*decoder.parameters(), self.segmenter.no_mask]
        groups = [
            {"params": [p for p in rest if p.requires_grad], "lr": self.settings.rate},
            {"params": [p for p in tail if p.requires_grad], "lr": self.settings.tail_rate},
            {"params": [self.codes.tokens], "lr": self.settings.code_rate, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
        self.schedule = [group["lr"] for group in self.optimiser.param_groups]
        self.modules = {"segmenter": self.segmenter, "codes": self.codes}
        self.views = TrainingViews(recipe, store, self.settings.balanced_share)

    def _go_on_from(self, name: str) -> None:
        """Take a trained model's segmenter, and keep its codes of the entities that it knows."""
        other = load_unmerged(name)
        self.segmenter.load_state_dict(other.segmenter.state_dict())
        if other.codebook is None:
            return
        rows = {entity: row for row, entity in enumerate(other.config.entities)}
        for row, entity in enumerate(self.store.entities):
            if entity in rows:
                self.codes.tokens.data[row] = other.codebook.codes.data[rows[entity]]
        new = torch.tensor([entity not in rows for entity in self.store.entities])
        self.codes.tokens.register_hook(lambda gradient: gradient * new[:, None, None])

    def _choose_trainable(self) -> None:
        self.segmenter.requires_grad_(False).eval()  # batch norms keep their statistics
        self.segmenter.decoder.requires_grad_(True)
        self.segmenter.no_mask.requires_grad_(True)
        self.segmenter.vision.layers[-1].requires_grad_(True)
        self.segmenter.vision.neck.requires_grad_(True)
        self.segmenter.decoder.iou_prediction_head.requires_grad_(False)

    def train(self) -> None:
        """Run to the last step, then write ``segmenter.safetensors`` and ``codes.safetensors``."""
        total = self.settings.steps
        for step in self.ledger.steps("masks", total, self.modules, self.optimiser):
            if step == self.settings.code_steps:
                self.write_codes()
            loss = self.step(step)
            self.ledger.show(loss=loss)
            if step % 20 == 0:
                self.ledger.log(step=step, loss=loss)
            if (step + 1) % 250 == 0:
                scores = self.validate()
                self.ledger.log(step=step + 1, validation=scores)
                logger.info("step %d: %s", step + 1, scores)
        write_tensors(self.ledger.folder / "segmenter.safetensors", self.segmenter.state_dict(), {})

    def write_codes(self) -> None:
        """Fix the codes: from here on the language part can aim at them."""
        write_tensors(self.ledger.folder / "codes.safetensors", {"tokens": self.codes.tokens}, {})

    def step(self, step: int) -> float:
        """One optimiser step over several images; the mean loss of their masks."""
        rng = np.random.default_rng((self.recipe.seed, step))
        fixed = step >= self.settings.code_steps
        factor = cosine(step, self.settings.steps, self.settings.warmup)
        for group, rate in zip(self.optimiser.param_groups, self.schedule, strict=True):
            group["lr"] = rate * factor
        total = 0.0
        for _ in range(self.settings.images):
            dataset, row, sought = self.views.draw(rng)
            loss = self._loss(row, sought, dataset, rng, fixed=fixed) / self.settings.images
            loss.backward()
            total += loss.item()
        parameters = [p for g in self.optimiser.param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return total

    def _loss(
        self, row: int, sought: int | None, dataset: str, rng: np.random.Generator, *, fixed: bool
    ) -> Tensor:
        masks = self.store.masks(row)
        present = sorted(rng.permutation(list(masks)), key=lambda entity: entity != sought)
        present = present[: self.settings.prompts]
        absent = [
            index
            for name in self.store.datasets[dataset]
            if (index := self.store.entities.index(name)) not in masks
        ]
        wanted = [int(entity) for entity in present]
        if absent and rng.random() < self.settings.absent_share:
            wanted.append(int(rng.choice(absent)))
        empty = np.zeros(self.store.labels.shape[1:], dtype=bool)
        targets = torch.from_numpy(np.stack([masks.get(entity, empty) for entity in wanted]))
        prompts = self.codes(torch.tensor(wanted))
        if fixed:
            prompts = prompts.detach()
            spread = self.settings.code_noise * float(self.codes.tokens.detach().std())
            noise = rng.standard_normal(tuple(prompts.shape)).astype(np.float32)
            prompts = prompts + torch.from_numpy(noise) * spread
        with torch.autocast("cpu", torch.bfloat16):
            image = self.segmenter.tail(self.store.features([row]))
            logits = self.segmenter.decode(image, prompts[None]).logits[0]
        here = targets.flatten(1).any(1)
        dice = dice_loss(logits, targets) * here  # an empty target has no Dice to speak of
        return (dice + self.settings.focal_weight * focal_loss(logits, targets)).mean()

    @torch.inference_mode()
    def validate(self, most: int = 40) -> dict[str, float]:
        """Mean Dice at canvas resolution over validation masks, by data set; codes as prompts."""
        scores: dict[str, float] = {}
        for dataset in (d.folder for d in self.recipe.datasets):
            found = []
            rows = self.store.rows("validation", dataset)
            for row in rows[:: max(1, len(rows) // most)]:
                masks = self.store.masks(row)
                prompts = self.codes(torch.tensor(list(masks)))
                with torch.autocast("cpu", torch.bfloat16):
                    image = self.segmenter.tail(self.store.features([row]))
                    logits = self.segmenter.decode(image, prompts[None]).logits[0]
                truth = torch.from_numpy(np.stack(list(masks.values())))
                drawn = logits > 0
                overlap = (drawn & truth).sum((1, 2))
                found += (2 * overlap / (drawn.sum((1, 2)) + truth.sum((1, 2)))).tolist()
            scores[dataset] = round(float(np.mean(found)), 4)
        return scores
