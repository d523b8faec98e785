"""The objective on samples of the official code, with which it is compared number by number."""

from collections.abc import Sequence

import torch

from mediround.model.mediround import MediRound
from mediround.model.official.clip import ClipPerception
from mediround.model.official.sample import Sample
from mediround.training.staged.example import Example, Frame
from mediround.training.staged.objective import LossWeights, Objective, StageLoss


def stage_loss(
    model: MediRound, samples: Sequence[Sample], stage: int, weights: LossWeights | None = None
) -> StageLoss:
    """Loss of a batch of dialogues in the official code's own pixels."""
    objective = Objective(model, stage, weights or LossWeights())
    return objective([_example(model, each, number) for number, each in enumerate(samples)])  # type: ignore[no-any-return]  # modules return Any


@torch.no_grad()
def _example(model: MediRound, sample: Sample, number: int) -> Example:
    perception, segmenter = model.perception, model.segmenter
    assert isinstance(perception, ClipPerception)
    sam = sample.sam[None].to(model.device, model.dtype)
    seen = {
        "grid": segmenter.tail(segmenter.trunk(sam))[0],
        "patches": perception.features(sample.clip[None].to(model.device))[0, 1:],
    }
    marks = {}
    if len(sample.crops):
        crops = perception.features(sample.crops.to(model.device), classes=True)[:, 0]
        pairs = zip(crops, sample.boxes, strict=True)
        marks = {key: {"crop": c, "box": b} for key, (c, b) in enumerate(pairs, start=1)}
    frame = Frame(sample.sam.shape[-1], sample.shown, sample.size)
    return Example(str(number), sample.prompt, seen, marks, sample.targets, frame)
