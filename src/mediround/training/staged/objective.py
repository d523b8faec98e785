"""What both stages minimise, as the official release defines it (sections 3.3 and 3.4).

Stage 1 teaches words and masks, stage 2 the judge and the corrector alone. Sums over masks are
divided by the number of masks of the step, text by the number of its tokens; so a step may be
computed in any number of passes, by any number of processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mediround.model.mask_decoder import Decoded
from mediround.model.mediround import MediRound
from mediround.training.staged.example import Example
from mediround.training.staged.sight import Sight, sight_of

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
class Counts:
    """What a step holds: tokens of answers, and masks."""

    words: int
    masks: int


@dataclass(frozen=True)
class StageLoss:
    """Weighted terms of a batch, divided by what its step holds.

    Attributes:
        text: cross entropy of the answers' tokens; 0 in stage 2.
        bce, dice: of the masks; of the corrected masks in stage 2.
        judge: binary cross entropy between scores and IoU; 0 in stage 1.
        scores, ious: (masks,), what the judge said and the truth; empty in stage 1.
        drawn: (masks,), Dice of what is drawn with the truth, as it came first.
    """

    text: Tensor
    bce: Tensor
    dice: Tensor
    judge: Tensor
    scores: Tensor
    ious: Tensor
    drawn: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.text + self.bce + self.dice + self.judge


@dataclass(frozen=True)
class Passed:
    """One dialogue after the language model.

    Attributes:
        hidden: (N, W), final states.
        prompts: (n, T, D), projected from the states of ``[SEG]``.
        grid: (1, D, side, side), what masks are drawn on.
    """

    hidden: Tensor
    prompts: Tensor
    grid: Tensor


class Objective(nn.Module):
    """The loss of one stage as a module, so that whatever wraps modules can wrap it."""

    def __init__(self, model: MediRound, stage: int, weights: LossWeights) -> None:
        super().__init__()
        self.model, self.stage, self.weights = model, stage, weights
        self._sights = (sight_of(model),)  # in a tuple: it is no part of the module

    @property
    def sight(self) -> Sight:
        """The model's eyes."""
        return self._sights[0]

    def forward(self, examples: Sequence[Example], counts: Counts | None = None) -> StageLoss:
        """Loss of a batch.

        Args:
            examples: any number, of any lengths.
            counts: of the step that the batch belongs to; by default the batch is a step.
        """
        counts = counts or Counts(
            sum(len(each.prompt.supervised) for each in examples),
            sum(len(each.prompt.seg) for each in examples),
        )
        moved = [_moved(each, self.model.device) for each in examples]
        if self.stage == 1:
            return self._words_and_masks(moved, counts)
        return self._judged(moved, counts)

    def _words_and_masks(self, examples: Sequence[Example], counts: Counts) -> StageLoss:
        passed = self.read(examples)
        logits = [
            self._draw(e, p, p.prompts)[1]
            if len(p.prompts)
            else p.prompts.new_zeros(e.targets.shape)
            for e, p in zip(examples, passed, strict=True)
        ]
        bce, dice = self._mask_losses(logits, examples, counts)
        text = self.weights.text * self._text(examples, passed) / max(1, counts.words)
        none = bce.new_zeros(0)
        shown = _dices(logits, examples)
        return StageLoss(text, bce, dice, bce.new_zeros(()), none, none, shown)

    def _judged(self, examples: Sequence[Example], counts: Counts) -> StageLoss:
        """The judge learns the IoU of the masks before correction.

        Of the model's quirks, ``judge_loss_in_bfloat16``.
        """
        corrector = self.model.corrector
        examples = [each for each in examples if each.prompt.seg]
        if not examples:  # talk alone teaches nothing here, but gradients must be there
            return _nothing(self)
        with torch.no_grad():
            passed = self.read(examples)
            first = [self._draw(e, p, p.prompts) for e, p in zip(examples, passed, strict=True)]
        logits = [full for _, full in first]
        scores = [
            self.model.judge.score(p.prompts[None], decoded)[0]
            for p, (decoded, _) in zip(passed, first, strict=True)
        ]
        zero = scores[0].new_zeros(())
        bce = dice = zero
        if corrector is not None:
            again = [
                self._draw(e, p, corrector(p.prompts))[1]
                for e, p in zip(examples, passed, strict=True)
            ]
            bce, dice = self._mask_losses(again, examples, counts)
        said = torch.cat(scores)
        true = torch.cat([iou(d, e.targets) for d, e in zip(logits, examples, strict=True)])
        coarse = self.model.config.quirks.judge_loss_in_bfloat16
        summed = judge_loss(said, true, torch.bfloat16 if coarse else torch.float32)
        judge = self.weights.judge * summed / (counts.masks + _COUNT_MARGIN)
        return StageLoss(zero, bce, dice, judge, said.detach(), true, _dices(logits, examples))

    def read(self, examples: Sequence[Example]) -> list[Passed]:
        """All dialogues through the language model, padded at their ends to one length.

        Each view of an image is taken up once, however many dialogues are about it.
        """
        views: dict[str, tuple[Tensor, Tensor]] = {}
        for each in examples:
            if each.view not in views:
                views[each.view] = self.sight.go_on(each.seen)
        vectors = [self._embed(each, views[each.view][0]) for each in examples]
        lengths = torch.tensor([len(each) for each in vectors], device=self.model.device)
        padded = pad_sequence(vectors, batch_first=True)
        inside = torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
        # Attention looks back only, so one dialogue alone needs no mask, and runs faster without.
        hidden = self.model.language(padded, mask=inside if len(examples) > 1 else None)
        return [
            self._passed(each, hidden[row], views[each.view][1])
            for row, each in enumerate(examples)
        ]

    def _embed(self, example: Example, image: Tensor) -> Tensor:
        references: Mapping[int, Tensor] = {}
        if example.marks:
            tokens = self.sight.refer(example.seen, list(example.marks.values()))
            references = dict(zip(example.marks, tokens, strict=True))
        return self.model.embed(example.prompt, image, references)

    def _passed(self, example: Example, hidden: Tensor, grid: Tensor) -> Passed:
        before = self.model.config.seg_state == "before"
        states = hidden[[place - before for place, _ in example.prompt.seg]]
        return Passed(hidden[: example.length], self.model.projection(states.float()), grid)

    def _draw(self, example: Example, passed: Passed, prompts: Tensor) -> tuple[Decoded, Tensor]:
        """Decode ``prompts`` (n, T, D): as the decoder gives it, and logits (n, H, W)."""
        segmenter = self.model.segmenter
        decoded = segmenter.decode(passed.grid, prompts[None].to(passed.grid.dtype))
        return decoded, self.sight.finish(decoded.logits[0], example)

    def _text(self, examples: Sequence[Example], passed: Sequence[Passed]) -> Tensor:
        """Cross entropy of all tokens of answers, summed."""
        states, wanted = [], []
        for example, one in zip(examples, passed, strict=True):
            places = torch.tensor(example.prompt.supervised)
            states.append(one.hidden[places - 1])
            wanted.append(torch.tensor(example.prompt.ids)[places])
        logits = self.model.language.logits(torch.cat(states))
        return F.cross_entropy(logits, torch.cat(wanted).to(logits.device), reduction="sum")

    def _mask_losses(
        self, masks: Sequence[Tensor], examples: Sequence[Example], counts: Counts
    ) -> tuple[Tensor, Tensor]:
        """Weighted binary cross entropy and Dice over all masks."""
        pairs = [(m, e.targets.float()) for m, e in zip(masks, examples, strict=True)]
        count, scale = counts.masks + _COUNT_MARGIN, self.weights.dice_scale
        bce = torch.stack([mask_bce(*pair).sum() for pair in pairs]).sum()
        dice = torch.stack([mask_dice(*pair, scale).sum() for pair in pairs]).sum()
        return self.weights.bce * bce / count, self.weights.dice * dice / count


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
    # A type as narrow as bfloat16 is what the quirk asks for, so nothing may widen it.
    with torch.autocast(said.device.type, enabled=False):
        return F.binary_cross_entropy(said, true, reduction="sum").float()


@torch.no_grad()
def _dices(logits: Sequence[Tensor], examples: Sequence[Example]) -> Tensor:
    """Dice (masks,) of what is drawn above 0."""
    found = [iou(each, e.targets) for each, e in zip(logits, examples, strict=True)]
    overlap = torch.cat(found)
    return 2 * overlap / (1 + overlap)


def _nothing(objective: nn.Module) -> StageLoss:
    """The loss of no mask at all: zero, whatever the trained parameters are."""
    trained = [p for p in objective.parameters() if p.requires_grad]
    zero = torch.stack([0 * parameter.float().sum() for parameter in trained]).sum()
    none = zero.detach().new_zeros(0)
    return StageLoss(zero, zero, zero, zero, none, none, none)


def _moved(example: Example, device: torch.device) -> Example:
    """Its tensors on ``device``; features in float32, as parameters are."""
    seen = {name: each.to(device, torch.float32) for name, each in example.seen.items()}
    marks = {
        key: {name: each.to(device, torch.float32) for name, each in mark.items()}
        for key, mark in example.marks.items()
    }
    return Example(
        example.view, example.prompt, seen, marks, example.targets.to(device), example.frame
    )
