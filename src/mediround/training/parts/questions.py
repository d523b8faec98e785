"""Learning what a question asks for, from the training words alone; no image, minutes in all.

Questions are drawn as dialogues draw them. What the reader cannot answer from masks is one kind,
"anything else": names and descriptions, rarer relations. Those speak of masks too, so that it is
never the mere mention of a mask that tells. Enquiries that are answered in words are left out:
"which is larger, [1] or [2]?" asks for a relation as well, and whether to draw is not asked here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mediround import anatomy
from mediround.config import QuestionConfig
from mediround.data.scene.relations import FACT_KINDS, Link, RelationKind, stated
from mediround.data.scene.relations_wide import WideKind
from mediround.data.words import questions as rich
from mediround.data.words import wording
from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.model.parts import build_language
from mediround.model.questions import QuestionReader, plainly
from mediround.model.roles import LanguageRole
from mediround.training.parts.recipe import Recipe
from mediround.training.progress import Ledger, cosine

_VOICE = wording.Voice(typo_share=0.05, abbreviation_share=0.03)
_TERMS = {
    "noun": ("organ", "vessel", "gland", "part"),
    "ordinal": ("second", "third", "fourth"),
    "substance": ("blood", "bile", "urine", "insulin"),
}
_GAP = re.compile(r"\{(\w+)\}")
_NAMED_SHARE = 0.5
_ELSE_SHARE = 0.45  # of questions that ask for anything else
_OFTEN: dict[str, float] = {RelationKind.IDENTITY: 5.0, RelationKind.COUNTERPART: 1.5}
"""Relations that are asked for more often than others, in people's dialogues as in ours."""
_ASIDES = (
    "{q} Leave {a} as it is.",
    "{q} It should not overlap {a}.",
    "{q} I will compare it with {a} later.",
    "{q} Then we can look at {a} and {b}.",
    "Apart from {a}: {q}",
    "{a} looks good. {q}",
    "I am done with {a}. {q}",
    "Not {a} this time. {q}",
    "Besides {a} and {b}: {q}",
    "After {a}, the next task. {q}",
)
"""How a mask is mentioned beside a question that is not about it."""


class Questions:
    """Draws questions with what they ask for; equal generators draw equal ones.

    Args:
        entities: names that may be asked for.
        relations: what is told apart; a label counts in their order, anything else is the last.
        split: whose words.
    """

    def __init__(
        self, entities: Sequence[str], relations: Sequence[str], split: wording.Split
    ) -> None:
        self.entities, self.split = tuple(entities), split
        self.relations = tuple(relations)
        self._atlas = anatomy.load()
        self._facts = _facts(self._atlas)
        often = np.array([_OFTEN.get(relation, 1.0) for relation in self.relations])
        self._shares = often / often.sum()
        related = {*RelationKind} - {*self.relations} - {RelationKind.FACT}
        self._others = (*sorted(related), *sorted(FACT_KINDS - {*self.relations}))
        self._rich = tuple(kind for kind in rich.kinds("phrase") if kind not in self.relations)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[list[str], list[int]]:
        """Questions as :func:`plainly` writes them, and their labels."""
        drawn = [self._one(rng) for _ in range(count)]
        return [plainly(question) for question, _ in drawn], [label for _, label in drawn]

    def _one(self, rng: np.random.Generator) -> tuple[str, int]:
        voice = _VOICE if self.split == "train" else wording.PLAIN
        speaker = wording.Speaker(self.split, rng, self._atlas, voice)
        if rng.random() < _ELSE_SHARE:
            return self._anything_else(speaker, rng), len(self.relations)
        label = int(rng.choice(len(self.relations), p=self._shares))
        return self._related(speaker, self.relations[label], rng), label

    def _related(self, speaker: wording.Speaker, relation: str, rng: np.random.Generator) -> str:
        named = bool(rng.random() < _NAMED_SHARE)
        if relation in {*WideKind}:
            return _filled(self._phrased(relation, speaker, named=named), speaker, rng)
        if relation in FACT_KINDS:
            facts = self._facts[relation]
            link = facts[int(rng.integers(len(facts)))]
        else:
            link = Link(RelationKind(relation), ("",), self._entity(rng))
        return _filled(speaker.relation_template(link, named=named), speaker, rng)

    def _phrased(self, kind: str, speaker: wording.Speaker, *, named: bool) -> str:
        """A question of a kind that only rich dialogues have, with its gaps."""
        phrase = speaker.choose(rich.forms("phrase", kind, self.split))
        frame = speaker.choose(wording.frames(self.split))
        return speaker.request(frame.replace("{x}", phrase), named=named)

    def _anything_else(self, speaker: wording.Speaker, rng: np.random.Generator) -> str:
        sort = rng.random()
        if sort < 0.35:
            asked = self._named(speaker, rng)
            aside = speaker.choose(_ASIDES)
            for gap, mask in zip("ab", speaker.references(_numbers(rng, 2)), strict=True):
                aside = aside.replace(f"{{{gap}}}", mask)
            return wording.capital(aside.replace("{q}", asked))
        if sort < 0.65:
            other = self._others[int(rng.integers(len(self._others)))]
            return self._related(speaker, other, rng)
        kind = self._rich[int(rng.integers(len(self._rich)))]
        named = bool(rng.random() < _NAMED_SHARE)
        return _filled(self._phrased(kind, speaker, named=named), speaker, rng)

    def _named(self, speaker: wording.Speaker, rng: np.random.Generator) -> str:
        first, second = self._entity(rng), self._entity(rng)
        sort = rng.random()
        described = speaker.ask_description(first) if sort < 0.4 else None
        if described is not None:
            return described
        return speaker.ask_pair(first, second) if sort > 0.8 else speaker.ask_name(first)

    def _entity(self, rng: np.random.Generator) -> str:
        return self.entities[int(rng.integers(len(self.entities)))]


class QuestionsPart:
    """Trains the head that reads questions, on states of the pretrained language model."""

    def __init__(self, recipe: Recipe, entities: Sequence[str], folder: Path) -> None:
        assert recipe.model.questions is not None
        self.recipe, self.settings = recipe, recipe.questions
        self.config: QuestionConfig = recipe.model.questions
        self.ledger = Ledger(folder, recipe.checkpoint_seconds)
        self.entities = entities
        torch.manual_seed(recipe.seed)
        self.reader = QuestionReader(self.config, recipe.model.language.width)

    def train(self) -> None:
        """Write ``questions.safetensors``; log the loss, and what is right in held-out words."""
        heard = {split: self._heard(split) for split in ("train", "heldout", "fresh")}
        seen = heard.pop("train")
        flat = seen["states"].float()
        self.reader.centre.data.copy_(flat.mean(0))
        self.reader.spread.data.copy_(flat.std(0).clamp(min=1e-3))
        self.reader.centre.requires_grad_(False)
        self.reader.spread.requires_grad_(False)
        settings, reader = self.settings, self.reader.train()
        learned = [each for each in reader.parameters() if each.requires_grad]
        optimiser = torch.optim.AdamW(learned, settings.rate, weight_decay=0.05)
        modules = {"questions": reader}
        for step in self.ledger.steps("questions", settings.steps, modules, optimiser):
            rng = np.random.default_rng((self.recipe.seed, 6, step))
            torch.manual_seed(int(rng.integers(2**31)))  # of what dropout leaves out
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * cosine(step, settings.steps, 100)
            optimiser.zero_grad()
            loss = torch.zeros(())
            for member in range(self.config.members):
                states, mask, labels = _batch(seen, rng.integers(len(seen["labels"]), size=64))
                told = reader.heard_by(member, states, mask)
                loss = loss + F.cross_entropy(told, labels, label_smoothing=0.02)
            loss.backward()
            optimiser.step()
            if (step + 1) % 250 == 0:
                right = {split: self._right(each) for split, each in heard.items()}
                self.ledger.show(**right)
                self.ledger.log(step=step + 1, loss=loss.item() / self.config.members, **right)
        write_tensors(self.ledger.folder / "questions.safetensors", reader.state_dict(), {})

    @torch.no_grad()
    def _right(self, heard: dict[str, Tensor]) -> float:
        self.reader.eval()
        hits = 0
        for rows in torch.arange(len(heard["labels"])).split(256):
            states, mask, labels = _batch(heard, rows.numpy())
            hits += int((self.reader(states, mask).argmax(-1) == labels).sum())
        self.reader.train()
        return hits / len(heard["labels"])

    def _heard(self, split: wording.Split) -> dict[str, Tensor]:
        """States of all questions' tokens in a row (float16), their counts, and labels."""
        path = self.ledger.folder / f"heard-{split}.safetensors"
        if not path.exists():
            seed = ("train", "heldout", "fresh").index(split)
            rng = np.random.default_rng((self.recipe.seed, 5, seed))
            count = self.settings.questions if split == "train" else self.settings.watched
            asked = Questions(self.entities, self.config.relations, split).draw(count, rng)
            language = build_language(self.recipe.model, None).eval()
            write_tensors(path, listen(language, self.config.layer, *asked, split), {})
        return read_tensors(path)


@torch.inference_mode()
def listen(
    language: LanguageRole, layer: int, questions: Sequence[str], labels: Sequence[int], what: str
) -> dict[str, Tensor]:
    """``states`` float16 (all tokens, W), ``counts`` and ``labels`` (questions,) of questions.

    Args:
        language: its adapter without effect.
        layer: see :class:`QuestionConfig`.
        questions: what is asked, in any order.
        labels: what for.
        what: they are, for the progress bar.
    """
    ids = [torch.tensor(language.tokenizer.encode(each)) for each in questions]
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    states: list[Tensor] = [torch.empty(0)] * len(ids)
    with tqdm(total=len(ids), desc=what) as bar:
        for start in range(0, len(order), 32):
            places = order[start : start + 32]
            rows = torch.nn.utils.rnn.pad_sequence([ids[each] for each in places], True)
            counts = torch.tensor([len(ids[each]) for each in places])
            mask = torch.arange(rows.shape[1])[None] < counts[:, None]
            for place, state, count in zip(
                places, language.hear(rows, mask, layer), counts, strict=True
            ):
                states[place] = state[:count].half()
            bar.update(len(places))
    return {
        "states": torch.cat(states),
        "counts": torch.tensor([len(each) for each in ids]),
        "labels": torch.tensor(labels),
    }


def _batch(heard: dict[str, Tensor], rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """States (B, N, W), mask (B, N) and labels (B,) of the questions ``rows``."""
    counts = heard["counts"]
    ends = counts.cumsum(0)
    picked = [heard["states"][int(ends[row] - counts[row]) : int(ends[row])] for row in rows]
    states = torch.nn.utils.rnn.pad_sequence(picked, True)
    mask = torch.arange(states.shape[1])[None] < counts[rows][:, None]
    return states, mask, heard["labels"][rows]


def _filled(form: str, speaker: wording.Speaker, rng: np.random.Generator) -> str:
    """``form`` with masks in the gaps of references and any term in all others."""
    for gap, mask in zip("abc", speaker.references(_numbers(rng, 3)), strict=True):
        form = form.replace(f"{{{gap}}}", mask)
    return wording.capital(_GAP.sub(lambda gap: speaker.choose(_TERMS[gap[1]]), form))


def _facts(atlas: anatomy.Atlas) -> dict[str, list[Link]]:
    """All that the atlas states, whatever the model knows, by kind."""
    facts: dict[str, list[Link]] = {kind: [] for kind in FACT_KINDS}
    for entity in atlas:
        for fact in atlas.facts(entity.name):
            if fact.kind in FACT_KINDS:
                facts[fact.kind].append(stated(fact, atlas))
    return facts


def _numbers(rng: np.random.Generator, count: int) -> list[int]:
    return [int(number) + 1 for number in rng.permutation(9)[:count]]
