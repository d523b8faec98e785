"""Which relation a question asks for, read from its words alone.

The language model reads a question in the midst of image, masks and talk, and takes "whatever sits
at the rear of [1]" for anything near it when it never heard these words. What its pretrained lower
layers make of a sentence, before any training of this project, tells such phrases apart much
better. Small heads on these states say what is asked for; what the answer is then follows from
masks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import QuestionConfig
from mediround.dialogue import MARKER

_NOTHING = 5.0  # log odds of anything else, before any training
_SPREAD = 6.0  # standard deviations; single channels of a language model go far beyond


class QuestionReader(nn.Module):
    """States of a question's tokens -> what it asks for; before training, always anything else.

    Several small heads read alike and err differently where no words of training come close, so
    that their mean is surer to be right than any of them.

    Attributes:
        relations: what can be asked for; anything else comes last.
        centre, spread: float32 (W,), of the states' channels over the questions of training.
    """

    def __init__(self, config: QuestionConfig, width: int) -> None:
        super().__init__()
        self.relations, self.layer = config.relations, config.layer
        self.centre = nn.Parameter(torch.zeros(width))
        self.spread = nn.Parameter(torch.ones(width))
        self.members = nn.ModuleList(_Head(config, width) for _ in range(config.members))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, N, W), bool mask (B, N) -> log probabilities (B, relations + 1)."""
        each = [self.heard_by(place, states, mask) for place in range(len(self.members))]
        return torch.stack(each).softmax(-1).mean(0).log()

    def heard_by(self, member: int, states: Tensor, mask: Tensor) -> Tensor:
        """The same by one member alone: logits (B, relations + 1)."""
        scaled = ((states.float() - self.centre) / self.spread).clamp(-_SPREAD, _SPREAD)
        return self.members[member](scaled, mask)  # type: ignore[no-any-return]  # modules return Any


class _Head(nn.Module):
    def __init__(self, config: QuestionConfig, width: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.attend = nn.Linear(width, config.heads)
        self.values = nn.Linear(width, config.width)
        self.mix = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )
        self.told = nn.Linear(config.width, len(config.relations) + 1)
        nn.init.zeros_(self.told.weight)
        self.told.bias.data = F.pad(torch.zeros(len(config.relations)), (0, 1), value=_NOTHING)

    def forward(self, scaled: Tensor, mask: Tensor) -> Tensor:
        weights = self.attend(scaled).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        values = self.values(scaled).unflatten(-1, (self.heads, -1))
        told: Tensor = self.told(self.mix((weights[..., None] * values).sum(1).flatten(1)))
        return told


def plainly(question: str) -> str:
    """``question`` as the reader reads it: masks are numbered in the order of their mention."""
    order: dict[str, int] = {}
    return MARKER.sub(
        lambda found: f"[{order.setdefault(found.group(), len(order) + 1)}]", question
    )
