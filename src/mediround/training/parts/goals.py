"""What the language model should say and mean, and how far it is from that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mediround.model.codebook import Codebook
from mediround.model.mediround import MediRound
from mediround.prompt import Prompt

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Goal:
    """What a prompt's answers should be: for each ``[SEG]`` its entity and its kind of round."""

    prompt: Prompt
    entities: Sequence[int]
    kinds: Sequence[str]


@dataclass(frozen=True)
class Losses:
    """Summed losses of some goals.

    Attributes:
        text: cross-entropy of the answers' words.
        code: distance of each projected state from its entity's code.
        confusion: cross-entropy of the nearest code.
        hits: for each mask the kind of its round, and 1 if the nearest code is its own, else 0.
    """

    text: Tensor
    code: Tensor
    confusion: Tensor
    hits: list[tuple[str, float]]


def compare(model: MediRound, codebook: Codebook, goals: Sequence[Goal], hidden: Tensor) -> Losses:
    """Losses of the final hidden states (goals, longest, W) of the goals' prompts."""
    said, words, states = [], [], []
    entities = [entity for goal in goals for entity in goal.entities]
    kinds = [kind for goal in goals for kind in goal.kinds]
    for goal, each in zip(goals, hidden, strict=True):
        prompt = goal.prompt
        said.append(each[[p - 1 for p in prompt.supervised]])
        words += [prompt.ids[p] for p in prompt.supervised]
        states += [each[position] for position, _ in prompt.seg]
    logits = model.language.logits(torch.cat(said))
    text = F.cross_entropy(logits, torch.tensor(words), reduction="sum")
    if not states:
        return Losses(text, text.new_zeros(()), text.new_zeros(()), [])
    truth = torch.tensor(entities)
    projected = model.projection(torch.stack(states).float())
    distance = codebook.distances(projected)
    code = distance[torch.arange(len(truth)), truth].sum()
    confusion = F.nll_loss(codebook.chances(projected), truth, reduction="sum")
    hits = (distance.argmin(1) == truth).float().tolist()
    return Losses(text, code, confusion, list(zip(kinds, hits, strict=True)))


def batches(
    talks: Sequence[tuple[Asked, Prompt]], tokens: int
) -> Iterator[Sequence[tuple[Asked, Prompt]]]:
    """What is of like length together, at most ``tokens`` positions with padding."""
    batch: list[tuple[Asked, Prompt]] = []
    for talk in sorted(talks, key=lambda each: len(each[1].ids)):
        if batch and (len(batch) + 1) * len(talk[1].ids) > tokens:
            yield batch
            batch = []
        batch.append(talk)
    yield batch
