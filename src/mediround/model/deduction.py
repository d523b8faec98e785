"""Which structure stands in a relation to a mask, from what is drawn of all that is known.

Perception says what it sees beside a mask; drawn masks say what lies where. Neither is always
right, so a log-linear model weighs both: a few numbers about each candidate, one weight for each in
each group of relations. What the numbers are, :mod:`mediround.session.survey` says.
"""

from collections.abc import Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRESENCE: Final = 5
"""Numbers that say whether a drawn structure is there at all."""
EVIDENCE: Final = 12
"""Numbers that say whether it is the one in question."""
GROUPS: Final[Mapping[str, int]] = {
    "left_of": 0,
    "right_of": 0,
    "in_front_of": 0,
    "behind": 0,
    "picture_left": 0,
    "picture_right": 0,
    "picture_above": 0,
    "picture_below": 0,
    "nearest_to": 1,
    "touching": 2,
    "between": 3,
}
"""Relations that are seen in the masks; those of one group are weighed alike."""


class Deduction(nn.Module):
    """The weights; zeros make every candidate as likely as any other."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = nn.Parameter(torch.zeros(PRESENCE + 1))
        self.weights = nn.Parameter(torch.zeros(max(GROUPS.values()) + 1, EVIDENCE))

    def odds(self, numbers: Tensor) -> Tensor:
        """Numbers (N, PRESENCE) -> log odds (N,) that the structures are there."""
        return F.pad(numbers.float(), (0, 1), value=1.0) @ self.presence

    def chances(self, relation: str, evidence: Tensor) -> Tensor:
        """Evidence (N, EVIDENCE) of the candidates -> log probabilities (N,) of each."""
        return (evidence.float() @ self.weights[GROUPS[relation]]).log_softmax(-1)


def presence(odds: Tensor, cells: Tensor) -> Tensor:
    """What tells whether structures are there.

    Args:
        odds: log odds (N, side, side), above 0 where each is.
        cells: (n * n, N), what each image token shows: probabilities over these structures.

    Returns:
        float32 (N, PRESENCE): the best odds anywhere; logarithms of how much of the mask the image
        tokens take for the structure, and of the surest one anywhere; mean odds inside; logarithm
        of the area. All about 1 in size.
    """
    drawn = (odds > 0).float()
    grid = round(len(cells) ** 0.5)
    cover = F.adaptive_avg_pool2d(drawn[None], grid)[0].flatten(1)
    shared = (cover * cells.T).sum(1) / cover.sum(1).clamp(min=1e-6)
    area = drawn.sum((1, 2))
    inside = (odds.float() * drawn).sum((1, 2)) / area.clamp(min=1)
    return torch.stack(
        [
            odds.float().amax((1, 2)) / 4,
            (shared + 1e-3).log(),
            (cells.amax(0) + 1e-3).log(),
            inside / 4,
            (area + 1).log() / 5,
        ],
        dim=1,
    )
