"""Stage 1, second part: the language model learns to read masks and to say codes.

Three steps, each resumable: the reference encoder alone learns to say the names of masks in the
model's own word vectors; then "what is [R]" with the words held equal; then all dialogues.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.model.language_model import LanguageModel
from mediround.model.mediround import MediRound
from mediround.prompt import IMAGE_KEY, Prompt
from mediround.training.conversations import Conversations, Sample, coverage
from mediround.training.features import FeatureStore
from mediround.training.masks import pretrained_segmenter
from mediround.training.progress import Ledger, cosine, trained
from mediround.training.recipe import Recipe

logger = logging.getLogger(__name__)


class LanguagePart:
    """Trains adapter, ``[SEG]``, perception and projection; the segmenter is not touched."""

    def __init__(
        self, recipe: Recipe, store: FeatureStore, talks: Conversations, codes: Path, folder: Path
    ) -> None:
        self.recipe, self.settings, self.store, self.talks = recipe, recipe.language, store, talks
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        torch.manual_seed(recipe.seed)
        config = recipe.model
        segmenter, _ = pretrained_segmenter(recipe)
        language = LanguageModel.build(config.language, torch.bfloat16)
        language.inner.set_attn_implementation("eager")  # faster backwards on short sequences
        self.model = MediRound(config, segmenter, language)
        self.model.segmenter.requires_grad_(False)
        self.model.judge.requires_grad_(False)
        self.codes = read_tensors(codes)["tokens"]
        self.spread = self.codes.std()
        self.classifier = nn.Linear(
            config.language.width * config.perception.reference_tokens, len(store.entities)
        )
        self.modules = {"model": self.model, "classifier": self.classifier}
        # The adapter is used in the model's own type and trained in float32.
        self.adapter = [p for p in language.inner.parameters() if p.requires_grad]
        self.masters = nn.ParameterList(p.detach().float() for p in self.adapter)
        self.modules["masters"] = self.masters
        self.optimiser = torch.optim.AdamW(self._groups(), weight_decay=0.0)
        self.schedule = [group["lr"] for group in self.optimiser.param_groups]
        self.names = self._name_vectors()

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters and rates: what comes pre-aligned or feeds the model moves slowly."""
        model, settings = self.model, self.settings
        seg = [model.language.seg_in, model.language.seg_out]
        return [
            {"params": [*model.projection.parameters(), *seg], "lr": settings.head_rate},
            {"params": list(self.masters.parameters()), "lr": settings.rate},
            {"params": list(model.perception.image.parameters()), "lr": settings.image_rate},
            {
                "params": [*model.perception.reference.parameters(), *self.classifier.parameters()],
                "lr": settings.reference_rate,
            },
        ]

    def _name_vectors(self) -> Tensor:
        """(entities, R, W): the word vectors of each name, normalised; longer names are cut."""
        tokens = self.recipe.model.perception.reference_tokens
        language = self.model.language
        table = torch.zeros(len(self.store.entities), tokens, language.width)
        for index, name in enumerate(self.store.entities):
            ids = language.tokenizer.encode(" " + name)[:tokens]
            with torch.no_grad():
                table[index, : len(ids)] = language.embed(torch.tensor(ids)).float()
        return table / table[table.abs().sum(-1) > 0].std()

    @property
    def word_scale(self) -> float:
        """Standard deviation of the language model's word vectors."""
        table = self.model.language.inner.get_input_embeddings().weight
        assert isinstance(table, Tensor)
        return float(table.float().std())

    def train(self) -> None:
        """Run all steps, then write ``language.safetensors``."""
        first = self.ledger.load(self.modules, self.optimiser)
        self._publish()
        total = self.settings.reference_steps + self.settings.steps
        bar = tqdm(range(first, total), initial=first, total=total, desc="language")
        for step in bar:
            if step < self.settings.reference_steps:
                losses = self._reference_step(step)
            else:
                losses = self._dialogue_step(step - self.settings.reference_steps)
            bar.set_postfix({k: f"{v:.3f}" for k, v in losses.items()})
            if step % 10 == 0:
                self.ledger.log(step=step, **losses)
            if self.ledger.due():
                self.ledger.save(step + 1, self.modules, self.optimiser)
        self.ledger.save(total, self.modules, self.optimiser)
        write_tensors(self.ledger.folder / "language.safetensors", trained(self.model), {})

    def _reference_step(self, step: int) -> dict[str, float]:
        """The reference encoder alone, on many masks."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        found, truth = [], []
        position = self.model.segmenter.position
        for row, drawn in self.talks.draw_masks(12, rng):
            features = self.store.features([row])[0].float()
            masks = torch.stack([coverage(m, features.shape[-1]) for m in drawn.values()])
            found.append(self.model.perception.reference(features, masks, position))
            truth += [self.store.entities.index(name) for name in drawn]
        loss, right = self._alignment(torch.cat(found), truth)
        loss.backward()
        self._update(step, self.settings.reference_steps, self.settings.alignment_boost)
        return {"alignment": loss.item(), "right": right}

    def _alignment(self, tokens: Tensor, entities: list[int]) -> tuple[Tensor, float]:
        """How far reference tokens (N, R, W) are from their names; share of masks recognised."""
        labels = torch.tensor(entities)
        scaled = tokens.float() / self.word_scale
        guess = self.classifier(scaled.flatten(1))
        loss = F.mse_loss(scaled, self.names[labels]) + F.cross_entropy(guess, labels)
        return loss, float((guess.argmax(1) == labels).float().mean())

    def _dialogue_step(self, step: int) -> dict[str, float]:
        """The whole language part on several dialogues, one at a time: no padding, warm caches."""
        rng = np.random.default_rng((self.recipe.seed, 2, step))
        identity = step < self.settings.identity_steps
        samples = self.talks.draw(
            self.settings.dialogues, rng, self.settings.twin_share, identity=identity
        )
        prompts = [self.model.prompter.write(sample.dialogue.rounds) for sample in samples]
        words = sum(len(prompt.supervised) for prompt in prompts)
        masks = sum(len(prompt.seg) for prompt in prompts)
        totals: dict[str, list[float]] = {}
        for sample, prompt in zip(samples, prompts, strict=True):
            text, code, kinds, right, alignment = self._losses(sample, prompt)
            loss = self.settings.text_weight * text / words
            loss = loss + self.settings.alignment_weight * alignment / len(prompts)
            loss = loss + self.settings.code_weight * (code + 0.5 * kinds) / max(1, masks)
            loss.backward()
            totals.setdefault("text", []).append(text.item() / words * len(prompts))
            totals.setdefault("code", []).append(code.item() / max(1, masks) * len(prompts))
            for number, hit in right.items():
                kind = _kind_of(sample, number)
                totals.setdefault("right", []).append(hit)
                totals.setdefault(f"right {kind}", []).append(hit)
        self._update(step, self.settings.steps)
        return {name: float(np.mean(values)) for name, values in totals.items()}

    def _losses(
        self, sample: Sample, prompt: Prompt
    ) -> tuple[Tensor, Tensor, Tensor, dict[int, float], Tensor]:
        """Losses of one dialogue.

        Returns:
            Summed losses of words, codes and kinds; entity number -> its nearest code was right
            (1 or 0); the references' distance from their names.
        """
        hidden, alignment = self._read(sample, prompt)
        said_at = torch.tensor([p - 1 for p in prompt.supervised])
        goal = torch.tensor([prompt.ids[p] for p in prompt.supervised])
        text = F.cross_entropy(self.model.language.logits(hidden[said_at]), goal, reduction="sum")
        if not prompt.seg:
            return text, text.new_zeros(()), text.new_zeros(()), {}, alignment
        states = hidden[torch.tensor([position for position, _ in prompt.seg])]
        labels = torch.tensor([self._entity(sample, number) for _, number in prompt.seg])
        said = self.model.projection(states.float())
        distance = ((said[:, None] - self.codes[None]) / self.spread).pow(2).mean((2, 3))
        code = distance[torch.arange(len(labels)), labels].sum()
        kinds = F.cross_entropy(-4 * distance, labels, reduction="sum")
        hits = (distance.argmin(1) == labels).float().tolist()
        right = {n: hit for (_, n), hit in zip(prompt.seg, hits, strict=True)}
        return text, code, kinds, right, alignment

    def _read(self, sample: Sample, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """Final hidden states (positions, W) of one dialogue, and its references' alignment."""
        trunk = self.store.features([sample.row]).float()
        position = self.model.segmenter.position
        image = self.model.perception.image(trunk, position)[0]
        wanted = sorted({slot.key for slot in prompt.slots} - {IMAGE_KEY})
        references: dict[int, Tensor] = {}
        alignment = image.new_zeros(())
        if wanted:
            masks = torch.stack([coverage(sample.masks[n], trunk.shape[-1]) for n in wanted])
            tokens = self.model.perception.reference(trunk[0], masks, position)
            references = dict(zip(wanted, tokens, strict=True))
            alignment, _ = self._alignment(tokens, [self._entity(sample, n) for n in wanted])
        vectors = self.model.embed(prompt, image, references)
        return self.model.language(vectors[None])[0], alignment

    def _entity(self, sample: Sample, number: int) -> int:
        name = next(e.name for e in sample.dialogue.entities() if e.id == number)
        assert name is not None
        return self.store.entities.index(name)

    def _update(self, step: int, steps: int, boost: float = 1.0) -> None:
        factor = boost * cosine(step, steps, self.settings.warmup)
        for group, rate in zip(self.optimiser.param_groups, self.schedule, strict=True):
            group["lr"] = rate * factor
        for master, used in zip(self.masters.parameters(), self.adapter, strict=True):
            master.grad = None if used.grad is None else used.grad.float()
            used.grad = None
        for group in self.optimiser.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self._publish()

    def _publish(self) -> None:
        """Copy the adapter's float32 masters into the weights that are used."""
        with torch.no_grad():
            for master, used in zip(self.masters.parameters(), self.adapter, strict=True):
                used.copy_(master)


def _kind_of(sample: Sample, number: int) -> str:
    """The relation of the round that introduces an entity; "unnamed" marks nameless answers."""
    for each in sample.dialogue.rounds:
        if number in each.targets:
            assert each.relation is not None
            return each.relation.kind + (" unnamed" if each.text.startswith("It is") else "")
    raise AssertionError(f"no round introduces entity {number}")
