"""Losses of a batch: a sum over dialogues, whoever shares the pass; talk alone is no obstacle."""

from __future__ import annotations

import pytest
import torch

from mediround.dialogue import Entity, Round
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.presets import tiny
from mediround.training.staged.example import Example
from mediround.training.staged.objective import Counts, LossWeights, Objective
from mediround.training.staged.stages import freeze

CHAT = Round(query="What is this?", text="A painted abdomen.")


@pytest.fixture
def model() -> MediRound:
    return compose(tiny()).eval()


def example(model: MediRound, view: str, *, masks: int) -> Example:
    """A dialogue of ``masks`` masks and a word of talk; each question refers to the mask before."""
    generator = torch.Generator().manual_seed(len(view) + masks)
    drawn = torch.rand(masks, 64, 64, generator=generator) > 0.7
    rounds = [
        Round(
            query="Segment it." if number == 1 else f"Now what touches [{number - 1}].",
            text=f"It is [{number}].",
            entities=(Entity.from_mask(number, mask.numpy()),),
        )
        for number, mask in enumerate(drawn, start=1)
    ]
    prompt = model.prompter.write([*rounds, CHAT])
    channels = model.config.tiny_vit.widths[-1]
    trunk = torch.randn(channels, 16, 16, generator=generator)
    marks = {
        slot.key: {"coverage": drawn[slot.key - 1].view(16, 4, 16, 4).float().mean((1, 3))}
        for slot in prompt.slots
        if slot.key
    }
    return Example(view, prompt, {"trunk": trunk}, marks, drawn)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_batch_is_the_sum_of_its_dialogues(model: MediRound, stage: int) -> None:
    objective = Objective(model, stage, LossWeights())
    batch = [example(model, name, masks=n) for name, n in (("a", 1), ("bb", 3), ("ccc", 0))]
    counts = Counts(sum(len(e.prompt.supervised) for e in batch), 4)
    freeze(model, stage)
    together = objective(batch)
    apart = [objective([each], counts) for each in batch]
    total = sum(float(each.total.detach()) for each in apart)
    assert float(together.total.detach()) == pytest.approx(total, rel=1e-5)
    assert len(together.drawn) == sum(len(each.drawn) for each in apart) == 4


@pytest.mark.parametrize("stage", [1, 2])
def test_talk_alone(model: MediRound, stage: int) -> None:
    freeze(model, stage)
    loss = Objective(model, stage, LossWeights())([example(model, "a", masks=0)])
    loss.total.backward()
    assert (float(loss.total.detach()) > 0) == (stage == 1)
    assert any(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_gradients_reach_every_part_that_stage_1_trains(model: MediRound) -> None:
    freeze(model, 1)
    Objective(model, 1, LossWeights())([example(model, "a", masks=3)]).total.backward()
    silent = {
        name
        for name, each in model.named_parameters()
        if each.requires_grad and (each.grad is None or not each.grad.abs().sum() > 0)
    }
    # The decoder's own estimate is not trained here; the adapter's second factor is zero at first.
    heard = {n for n in silent if "iou_prediction" not in n and "lora_A" not in n}
    assert not heard, heard
