"""Prompts -> masks that are judged, and corrected where they are bad (section 3.3 of the paper).

Shapes: N prompts on one image, of T tokens with D channels; masks on 4 side x 4 side pixels.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from mediround.config import CorrectionConfig
from mediround.model.correction import Corrector
from mediround.model.mask_decoder import Decoded
from mediround.model.roles import JudgeRole, PromptJudge, SegmenterRole
from mediround.model.scene import Seen
from mediround.model.second_opinion import SecondOpinion


@dataclass(frozen=True)
class Drawn:
    """Masks and what is thought of them.

    Attributes:
        logits: (N, 4 side, 4 side), over the whole canvas.
        scores: (N,), 0..1, of the judge.
        certainty: (N,), the probability (0..1) of the structure that each prompt stands for; 1
            where the model has no codebook.
        corrected: bool (N,), whether it is a corrected mask that was taken.
    """

    logits: Tensor
    scores: Tensor
    certainty: Tensor
    corrected: Tensor


@dataclass(frozen=True)
class Drawing:
    """The parts that draw.

    Attributes:
        segmenter, judge: as the composition has them.
        corrector: rewrites the prompts of bad masks; None for no such correction.
        second: has a say in bad masks; None for no such correction.
        settings: when a mask is bad, and which one is kept.
    """

    segmenter: SegmenterRole
    judge: JudgeRole
    corrector: Corrector | None
    second: SecondOpinion | None
    settings: CorrectionConfig

    def draw(
        self, trunk: Tensor, grid: Tensor, prompts: Tensor, certainty: Tensor, seen: Seen | None
    ) -> Drawn:
        """Masks for prompts.

        Args:
            trunk: (1, C, side, side), what the image encoder sees.
            grid: (1, D, side, side), what masks are drawn on.
            prompts: (1, N, T, D).
            certainty: (N,), handed on.
            seen: what else is known of the structures; None for nothing.
        """
        if isinstance(self.judge, PromptJudge):
            return self._foreseen(self.judge, grid, prompts, certainty)
        decoded = self._decoded(grid, prompts)
        if seen is not None:
            decoded = seen.added_to(decoded)
        logits, scores = decoded.logits[0], self.judge.score(prompts, decoded)[0]
        chosen = torch.zeros_like(scores, dtype=torch.bool)
        # In double precision, so that a threshold of 0.6 means 0.6 and not its nearest float.
        low = scores.double() <= self.settings.threshold
        if self.second is not None:
            low &= self.second.concerns(logits)
        bad = low.nonzero()[:, 0]
        if len(bad) == 0 or (self.corrector is None and self.second is None):
            return Drawn(logits, scores, certainty, chosen)
        prompts = prompts[:, bad]
        if self.second is not None:
            redrawn = self.second(trunk, logits[bad])
            again = dataclasses.replace(decoded.of(bad), logits=redrawn[None])
        else:
            assert self.corrector is not None
            prompts = self.corrector(prompts)
            again = self._decoded(grid, prompts)
        if self.settings.keep == "corrected":
            judged = scores[bad]  # as published: nobody looks at the corrected mask
            better = torch.ones_like(judged, dtype=torch.bool)
        else:
            judged = self.judge.score(prompts, again)[0]
            better = judged > scores[bad]
        taken = bad[better]
        logits = logits.index_copy(0, taken, again.logits[0, better])
        scores = scores.index_copy(0, taken, judged[better])
        return Drawn(logits, scores, certainty, chosen.index_fill(0, taken, value=True))

    def _foreseen(
        self, judge: PromptJudge, grid: Tensor, prompts: Tensor, certainty: Tensor
    ) -> Drawn:
        """The same for a judge that needs no mask: only what is chosen is drawn."""
        scores = judge.foresee(prompts)[0]
        chosen = torch.zeros_like(scores, dtype=torch.bool)
        if self.corrector is not None:
            rewritten = self.corrector(prompts)
            chosen = scores.double() <= self.settings.threshold
            judged = scores
            if self.settings.keep == "better":
                judged = judge.foresee(rewritten)[0]
                chosen &= judged > scores
            prompts = torch.where(chosen[:, None, None], rewritten, prompts)
            scores = torch.where(chosen, judged, scores)
        return Drawn(self._decoded(grid, prompts).logits[0], scores, certainty, chosen)

    def _decoded(self, grid: Tensor, prompts: Tensor) -> Decoded:
        return self.segmenter.decode(grid, prompts.to(grid.dtype))
