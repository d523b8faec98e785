"""The losses of both stages as the official release defines them (sections 3.3 and 3.4).

Stage 1 teaches words and masks, stage 2 the judge and the corrector alone. Sums over masks are
divided by the number of masks of the batch, text by the number of its tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mediround.model.correction import PaperJudge
from mediround.model.mediround import MediRound
from mediround.model.official.forward import Passed, draw, pass_through
from mediround.model.official.sample import Sample

_COUNT_MARGIN = 1e-8


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Of the terms; ``dice_scale`` divides both sums of the Dice ratio before its margin of 1e-6.

    With a scale of 1000 a target without pixels costs next to nothing when little is drawn.
    """

    text: float = 1.0
    bce: float = 2.0
    dice: float = 0.5
    judge: float = 2.0
    dice_scale: float = 1000.0


@dataclass(frozen=True)
class StageLoss:
    """Weighted terms of a batch; ``text`` in stage 1, ``judge`` in stage 2.

    Attributes:
        text: cross entropy of the answers' tokens.
        bce, dice: of the masks; of the corrected masks in stage 2.
        judge: binary cross entropy between scores and IoU.
        scores, ious: (masks,), what the judge said and the truth; empty in stage 1.
    """

    text: Tensor
    bce: Tensor
    dice: Tensor
    judge: Tensor
    scores: Tensor
    ious: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.text + self.bce + self.dice + self.judge


def stage1_loss(
    model: MediRound, samples: Sequence[Sample], weights: LossWeights | None = None
) -> StageLoss:
    """Words and masks of a batch of dialogues of any lengths."""
    weights = weights or LossWeights()
    passed = pass_through(model, samples)
    masks = [draw(model, s, p.prompts, p.grid)[1] for s, p in zip(samples, passed, strict=True)]
    bce, dice = _mask_losses(masks, samples, weights)
    none = bce.new_zeros(0)
    text = weights.text * text_loss(model, samples, passed)
    return StageLoss(text, bce, dice, bce.new_zeros(()), none, none)


def stage2_loss(
    model: MediRound, samples: Sequence[Sample], weights: LossWeights | None = None
) -> StageLoss:
    """Judge and corrector; the judge learns the IoU of the masks before correction.

    Of the model's quirks, ``judge_loss_in_bfloat16``.
    """
    weights = weights or LossWeights()
    assert model.corrector is not None
    assert isinstance(model.judge, PaperJudge)
    with torch.no_grad():
        passed = pass_through(model, samples)
    masks, scores, ious = [], [], []
    for sample, one in zip(samples, passed, strict=True):
        with torch.no_grad():
            drawn = draw(model, sample, one.prompts, one.grid)[1]
        ious.append(iou(drawn, sample.targets.to(drawn.device)))
        scores.append(model.judge(one.prompts))
        masks.append(draw(model, sample, model.corrector(one.prompts), one.grid)[1])
    bce, dice = _mask_losses(masks, samples, weights)
    said, true = torch.cat(scores), torch.cat(ious)
    coarse = model.config.quirks.judge_loss_in_bfloat16
    judged = judge_loss(said, true, torch.bfloat16 if coarse else torch.float32)
    judge = weights.judge * judged / (len(said) + _COUNT_MARGIN)
    return StageLoss(bce.new_zeros(()), bce, dice, judge, said.detach(), true)


def text_loss(model: MediRound, samples: Sequence[Sample], passed: Sequence[Passed]) -> Tensor:
    """Mean cross entropy over all tokens of answers in the batch."""
    states, wanted = [], []
    for sample, one in zip(samples, passed, strict=True):
        places = torch.tensor(sample.prompt.supervised)
        states.append(one.hidden[places - 1])
        wanted.append(torch.tensor(sample.prompt.ids)[places])
    logits = model.language.logits(torch.cat(states))
    return F.cross_entropy(logits, torch.cat(wanted).to(logits.device))


def mask_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """(n, H, W) each -> (n,): binary cross entropy, mean over pixels."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((1, 2))


def mask_dice(logits: Tensor, targets: Tensor, scale: float = 1000.0) -> Tensor:
    """(n, H, W) each -> (n,): 1 - Dice of the probabilities."""
    chance = logits.sigmoid().flatten(1) / scale
    wanted = targets.flatten(1)
    both = 2 * (chance * wanted).sum(1)
    areas = chance.sum(1) + (wanted / scale).sum(1)
    return 1 - (both + 1e-6) / (areas + 1e-6)


def iou(logits: Tensor, targets: Tensor) -> Tensor:
    """(n, H, W) each -> (n,), of what is drawn above 0; 0 where both are empty."""
    drawn, wanted = logits > 0, targets > 0
    both = (drawn & wanted).sum((1, 2)).float()
    either = (drawn | wanted).sum((1, 2)).float()
    return both / (either + 1e-6)


def judge_loss(scores: Tensor, ious: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scores and IoUs (n,) in 0..1 -> their binary cross entropy in ``dtype``, summed."""
    said, true = scores.to(dtype), ious.to(dtype)
    return F.binary_cross_entropy(said, true, reduction="sum").float()


def _mask_losses(
    masks: Sequence[Tensor], samples: Sequence[Sample], weights: LossWeights
) -> tuple[Tensor, Tensor]:
    """Weighted binary cross entropy and Dice over all masks of the batch."""
    pairs = [(m, s.targets.to(m.device)) for m, s in zip(masks, samples, strict=True)]
    count = sum(len(mask) for mask in masks) + _COUNT_MARGIN
    bce = torch.stack([mask_bce(*pair).sum() for pair in pairs]).sum()
    dice = torch.stack([mask_dice(*pair, weights.dice_scale).sum() for pair in pairs]).sum()
    return weights.bce * bce / count, weights.dice * dice / count
