"""Stage 1, second part: the language model learns to read masks and to say codes.

Four steps, each resumable: the reference encoder alone learns to say the names of masks in the
model's own word vectors, after the classifiers that hold it to them; the language model alone to
read what references say, of made-up masks; then "what is [R]" with the words held equal; then all
dialogues.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mediround.errors import ConfigError
from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.model.codebook import Codebook
from mediround.model.language_model import LanguageModel
from mediround.model.loading import continue_from
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.model.position import PositionCode
from mediround.model.pretrained import pretrained_segmenter
from mediround.prompt import IMAGE_KEY, Prompt
from mediround.training.parts.alignment import Alignment
from mediround.training.parts.conversations import Conversations, Sample, coverage
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.goals import Goal, Losses, batches, compare
from mediround.training.parts.grounding import Grounding
from mediround.training.parts.lookups import Lookups, written
from mediround.training.parts.merged_adapter import MergedAdapter
from mediround.training.parts.recipe import Recipe
from mediround.training.parts.replay import replayed
from mediround.training.progress import Ledger, cosine

Batch = Sequence[tuple[Sample, Prompt]]


class LanguagePart:
    """Trains adapter, ``[SEG]``, perception and projection; the segmenter is not touched."""

    def __init__(
        self,
        recipe: Recipe,
        store: FeatureStore,
        talks: Conversations,
        unseen: Conversations,
        codes: Path,
        folder: Path,
    ) -> None:
        """Args: ``talks`` to learn from; ``unseen`` of other patients, to watch with."""
        self.recipe, self.settings, self.store = recipe, recipe.language, store
        self.talks, self.unseen = talks, unseen
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        torch.manual_seed(recipe.seed)
        config = recipe.model
        segmenter, _ = pretrained_segmenter(config)
        language = LanguageModel.build(config.language, torch.bfloat16)
        language.inner.set_attn_implementation("eager")  # faster backwards on short sequences
        self.model = MediRound(config, segmenter, language)
        self.model.segmenter.requires_grad_(False)
        self.model.judge.requires_grad_(False)
        if recipe.language.replay_share:
            talks.chats = replayed(
                language, folder / "replay.json", recipe.seed, recipe.language.replay_answers
            )
        if recipe.language.start is not None:
            continue_from(recipe.language.start, self.model)
        self.adapter = MergedAdapter(language)
        known = read_tensors(codes)["tokens"]
        self.codebook = Codebook(*known.shape)
        self.codebook.codes.data.copy_(known)
        perception, position = self.model.perception, self.model.segmenter.position
        assert isinstance(perception, Perception)
        assert isinstance(position, PositionCode)
        self.alignment = Alignment(language, store.entities, config.perception.reference_tokens)
        if perception.surroundings is not None:
            self.lookups = Lookups(store.entities, perception.surroundings.kinds)
        elif self.settings.lookup_steps or self.settings.lookups:
            raise ConfigError("lookups of a model that sees no neighbours", expected="none")
        self.bare = language.writer(0, perception.reference_form)
        parts = (perception, position, self.alignment, store)
        self.grounding, self.unseen_grounding = (Grounding(*parts, t) for t in (talks, unseen))
        # The merged weights are not among the model's trained tensors; the adapter stands for them.
        self.heads = nn.ModuleDict(
            {
                "perception": self.model.perception,
                "projection": self.model.projection,
                "language": nn.ParameterDict(
                    {"seg_in": language.seg_in, "seg_out": language.seg_out}
                ),
            }
        )
        self.modules = {
            "model": self.heads,
            "alignment": self.alignment,
            "adapter": self.adapter,
        }
        self.optimiser = torch.optim.AdamW(self._groups(), weight_decay=0.0)
        self.schedule = [group["lr"] for group in self.optimiser.param_groups]

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters and rates: what comes pre-aligned or feeds the model moves slowly.

        What has the rate 0 keeps its values and gets no gradients.
        """
        model, perception, settings = self.model, self.grounding.perception, self.settings
        around = perception.surroundings
        seg = [model.language.seg_in, model.language.seg_out]
        groups: list[dict[str, Any]] = [
            {"params": [*model.projection.parameters(), *seg], "lr": settings.head_rate},
            {"params": list(self.adapter.parameters()), "lr": settings.rate},
            {"params": list(perception.image.parameters()), "lr": settings.image_rate},
            {
                "params": [*perception.reference.parameters(), *self.alignment.parameters()],
                "lr": settings.reference_rate,
            },
            {
                "params": [] if around is None else list(around.parameters()),
                "lr": settings.neighbour_rate,
            },
        ]
        for parameter in (each for g in groups if not g["lr"] for each in g["params"]):
            parameter.requires_grad_(False)
        return [group for group in groups if group["lr"]]

    def train(self) -> None:
        """Run all steps, then write ``language.safetensors``."""
        classified = self.settings.classifier_steps
        alone = classified + self.settings.reference_steps
        before = alone + self.settings.lookup_steps
        total = before + self.settings.steps
        steps = self.ledger.steps("language", total, self.modules, self.optimiser)
        for place, step in enumerate(steps):
            if place == 0:
                self.adapter.publish()  # its factors may have just been restored
            if step < classified:
                losses = self._classifier_step(step)
            elif step < alone:
                losses = self._reference_step(step - classified)
            elif step < before:
                losses = self._lookup_step(step - alone)
            else:
                losses = self._dialogue_step(step - before)
            self.ledger.show(**losses)
            if step % 10 == 0:
                self.ledger.log(step=step, **losses)
            if (step + 1) % self.settings.watch_every == 0 and step >= alone:
                self.ledger.log(step=step + 1, validation=self.validate())
        heads = {name: each.detach() for name, each in self.heads.named_parameters()}
        tensors = heads | self.adapter.tensors("language.inner.")
        write_tensors(self.ledger.folder / "language.safetensors", tensors, {})

    def _classifier_step(self, step: int) -> dict[str, float]:
        """The classifiers alone, on what perception says now."""
        rng = np.random.default_rng((self.recipe.seed, 6, step))
        loss, seen = self.grounding.measure(self.talks.draw_masks(12, rng))
        loss.backward(inputs=list(self.alignment.parameters()))
        self._update(step, self.settings.classifier_steps, self.settings.alignment_boost)
        return seen

    def _reference_step(self, step: int) -> dict[str, float]:
        """Perception alone: many masks and the cells of their images."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        loss, seen = self.grounding.measure(self.talks.draw_masks(12, rng))
        loss.backward()
        self._update(step, self.settings.reference_steps, self.settings.alignment_boost)
        return seen

    def _lookup_step(self, step: int) -> dict[str, float]:
        """The language model alone on made-up masks."""
        seen = self._look_up(2 * self.settings.dialogues, (self.recipe.seed, 3, step))
        self._update(step, self.settings.lookup_steps, self.settings.lookup_boost)
        return seen

    def _look_up(self, count: int, seed: tuple[int, ...]) -> dict[str, float]:
        """Gradients of ``count`` lookups, and what to log of them."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        around = self.grounding.perception.surroundings
        assert around is not None
        drawn = [(each, self.bare.write([each.round])) for each in self.lookups.draw(count, rng)]
        words = sum(len(prompt.supervised) for _, prompt in drawn)
        totals: dict[str, list[float]] = {}
        for batch in batches(drawn, self.settings.batch_tokens):
            goals, rows = [], []
            for each, prompt in batch:
                tokens = written(each.references, self.alignment, around, generator)
                image = tokens.new_zeros((0, tokens.shape[-1]))
                rows.append(self.model.embed(prompt, image, dict(enumerate(tokens, start=1))))
                goals.append(Goal(prompt, [each.target], [f"lookup {each.kind}"]))
            hidden = self.model.language(nn.utils.rnn.pad_sequence(rows, batch_first=True))
            found = compare(self.model, self.codebook, goals, hidden)
            self._weighted(found, words, count).backward()
            for kind, hit in found.hits:
                totals.setdefault("looked up", []).append(hit)
                totals.setdefault(kind, []).append(hit)
        return {name: float(np.mean(values)) for name, values in totals.items()}

    def _weighted(self, found: Losses, words: int, masks: int) -> Tensor:
        """The loss of a part of a step that holds so many words and masks."""
        codes = self.settings.code_weight * (found.code + 0.5 * found.confusion)
        return self.settings.text_weight * found.text / words + codes / max(1, masks)

    def _dialogue_step(self, step: int) -> dict[str, float]:
        """The whole language part on several dialogues, those of like length together."""
        rng = np.random.default_rng((self.recipe.seed, 2, step))
        identity = step < self.settings.identity_steps
        samples = self.talks.draw(
            self.settings.dialogues, rng, self.settings.twin_share, identity=identity
        )
        prompts = [self.model.prompter.write(sample.dialogue.rounds) for sample in samples]
        words = sum(len(prompt.supervised) for prompt in prompts)
        masks = sum(len(prompt.seg) for prompt in prompts)
        totals: dict[str, list[float]] = {}
        for batch in batches(list(zip(samples, prompts, strict=True)), self.settings.batch_tokens):
            found, alignment = self._losses(batch)
            loss = self._weighted(found, words, masks)
            (loss + self.settings.alignment_weight * alignment / len(prompts)).backward()
            totals.setdefault("text", []).append(found.text.item() / words)
            totals.setdefault("code", []).append(found.code.item() / max(1, masks))
            _count(found, totals)
        sums = {name: float(np.sum(totals.pop(name))) for name in ("text", "code")}
        seen = sums | {name: float(np.mean(values)) for name, values in totals.items()}
        if self.settings.lookups:
            seed = (self.recipe.seed, 4, step)
            seen["looked up"] = self._look_up(self.settings.lookups, seed)["looked up"]
        self._update(step, self.settings.steps)
        return seen

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Share of masks of other patients, asked for in unseen words, whose nearest code is right.

        By kind of round, with gold words and gold references; always the same dialogues.
        """
        rng = np.random.default_rng((self.recipe.seed, 5))
        samples = self.unseen.draw(self.settings.watched, rng, self.settings.twin_share)
        prompts = [self.model.prompter.write(sample.dialogue.rounds) for sample in samples]
        totals: dict[str, list[float]] = {}
        for batch in batches(list(zip(samples, prompts, strict=True)), self.settings.batch_tokens):
            _count(self._losses(batch)[0], totals)
        if self.settings.alignment_weight:
            views = self.unseen.draw_masks(self.settings.watched, rng)
            _, seen = self.unseen_grounding.measure(views)
            totals |= {f"perception {name}": [value] for name, value in seen.items()}
        return {name: round(float(np.mean(values)), 3) for name, values in totals.items()}

    def _losses(self, batch: Batch) -> tuple[Losses, Tensor]:
        """Summed losses of several dialogues, and how far their references are from names."""
        hidden, alignment = self._read(batch)
        goals = [
            Goal(
                prompt,
                [self._entity(sample, number) for _, number in prompt.seg],
                [_kind_of(sample, number) for _, number in prompt.seg],
            )
            for sample, prompt in batch
        ]
        return compare(self.model, self.codebook, goals, hidden), alignment

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Final hidden states (dialogues, longest, W), and how far references are from names."""
        trunks = self.store.features([sample.row for sample, _ in batch]).float()
        position = self.model.segmenter.position
        perception = self.grounding.perception
        images = perception.image(trunks, position)
        alignment = images.new_zeros(())
        rows = []
        for (sample, prompt), trunk, image in zip(batch, trunks, images, strict=True):
            wanted = sorted({slot.key for slot in prompt.slots} - {IMAGE_KEY})
            references: dict[int, Tensor] = {}
            if wanted:
                masks = torch.stack([coverage(sample.masks[n], trunk.shape[-1]) for n in wanted])
                tokens = perception.read(trunk, masks, position)
                references = dict(zip(wanted, tokens, strict=True))
                named = [self.store.entities[self._entity(sample, n)] for n in wanted]
                if self.settings.alignment_weight:
                    for each in self.grounding.masks(sample.row, tokens, named):
                        alignment = alignment + each.loss / max(1, each.count)
            if self.settings.alignment_weight:
                cells = self.grounding.cells(sample.row, image)
                alignment = alignment + self.settings.cell_weight * cells
            rows.append(self.model.embed(prompt, image, references))
        # Attention looks back only, so that padding on the right needs no mask.
        return self.model.language(nn.utils.rnn.pad_sequence(rows, batch_first=True)), alignment

    def _entity(self, sample: Sample, number: int) -> int:
        name = next(e.name for e in sample.dialogue.entities() if e.id == number)
        assert name is not None
        return self.store.entities.index(name)

    def _update(self, step: int, steps: int, boost: float = 1.0) -> None:
        factor = boost * cosine(step, steps, self.settings.warmup)
        for group, rate in zip(self.optimiser.param_groups, self.schedule, strict=True):
            group["lr"] = rate * factor
        for group in self.optimiser.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.adapter.publish()


def _count(found: Losses, totals: dict[str, list[float]]) -> None:
    for kind, hit in found.hits:
        totals.setdefault("right", []).append(hit)
        totals.setdefault(f"right {kind}", []).append(hit)


def _kind_of(sample: Sample, number: int) -> str:
    """The relation of the round that introduces an entity; "unnamed" marks nameless answers."""
    for each in sample.dialogue.rounds:
        if number in each.targets:
            assert each.relation is not None
            return each.relation.kind + (" unnamed" if each.text.startswith("It is") else "")
    raise AssertionError(f"no round introduces entity {number}")
