"""A second opinion on a bad mask: what LiteMedSAM as it was published sees where the mask lies.

A small mask that the judge finds bad is often in the right place and badly outlined. The published
decoder draws what lies in a box well, and errs in other ways than the one that was trained on: with
the box of the bad mask for a prompt, the average of both is better than either
(``benchmarks/correction.py``). Large masks it makes no better (``docs/results.md``). The paper
rewrites the prompt instead (section 3.3, :mod:`mediround.model.correction`).

Shapes: N masks of one image, on 4 side x 4 side pixels of the canvas.
"""

import torch
from torch import Tensor, nn

from mediround.model.box_prompt import BoxPrompt

_MARGIN = 0.08
"""Round a mask, on each edge, in parts of its longer side."""
_SMALL = 1 / 80
"""Of the canvas; a mask that covers more is left as it is."""


class SecondOpinion(nn.Module):
    """Averages the logits of masks with those of the published decoder.

    Args:
        prompt: the published decoder, beside the model whose masks these are.
        share: how much it counts, 0..1.
    """

    def __init__(self, prompt: BoxPrompt, share: float) -> None:
        super().__init__()
        self.prompt, self.share = prompt, share

    def concerns(self, logits: Tensor) -> Tensor:
        """Which masks (N, 4 side, 4 side) it has anything to say of: bool (N,), the small ones."""
        covered = (logits > 0).float().mean((1, 2))
        return (covered > 0) & (covered <= _SMALL)

    def forward(self, trunk: Tensor, logits: Tensor) -> Tensor:
        """Better logits (N, 4 side, 4 side); those that it does not concern stay as they are.

        Args:
            trunk: (1, C, side, side), of the image.
            logits: (N, 4 side, 4 side); above 0 is foreground.
        """
        small = self.concerns(logits).nonzero()[:, 0]
        if len(small) == 0:
            return logits
        other = self.prompt(trunk, boxes(logits[small] > 0)).logits.to(logits)
        return logits.index_copy(0, small, logits[small].lerp(other, self.share))


def boxes(drawn: Tensor) -> Tensor:
    """Bool masks (N, S, S), none empty -> boxes round them (N, 2, 2): two corners (x, y), 0..1."""
    corners = []
    for spread in (drawn.any(1), drawn.any(2)):  # columns, rows
        first = spread.int().argmax(1)
        last = spread.shape[1] - spread.flip(1).int().argmax(1)
        corners.append(torch.stack([first, last], dim=1))
    tight = torch.stack(corners, dim=-1) / drawn.shape[-1]
    margin = _MARGIN * (tight[:, 1] - tight[:, 0]).amax(-1)
    return (tight + margin[:, None, None] * tight.new_tensor([[-1.0], [1.0]])).clamp(0, 1)
