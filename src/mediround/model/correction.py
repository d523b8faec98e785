"""The paper's Judgment & Correction module (section 3.3): two small networks on a mask's prompt.

The judge predicts a mask's IoU from the projected ``[SEG]`` state alone; the corrector rewrites
the state of a bad mask before it is drawn again. Another judge, which also sees what was drawn,
is in :mod:`mediround.model.judgment`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.model.roles import PromptJudge


class _ThreeLayers(nn.Module):
    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, inner)
        self.fc3 = nn.Linear(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(x)))))  # type: ignore[no-any-return]  # modules return Any


class PaperJudge(PromptJudge):
    """Prompts (..., T, D) -> predicted IoU (...), 0..1."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layers = _ThreeLayers(width, inner, 1)

    def forward(self, prompts: Tensor) -> Tensor:
        """(..., T, D) -> (...), 0..1."""
        return self.layers(prompts.flatten(-2))[..., 0].sigmoid()  # type: ignore[no-any-return]  # modules return Any

    def foresee(self, prompts: Tensor) -> Tensor:
        """Scores (B, P) of prompts (B, P, T, D)."""
        return self(prompts).float()  # type: ignore[no-any-return]  # modules return Any


class TrustingJudge(PromptJudge):
    """No judge: every mask is as good as can be."""

    def foresee(self, prompts: Tensor) -> Tensor:
        """1 for each of the prompts (B, P, T, D)."""
        return torch.ones(prompts.shape[:2], device=prompts.device)


class Corrector(nn.Module):
    """Prompts (..., T, D) of bad masks -> better ones (..., T, D)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layers = _ThreeLayers(width, inner, width)

    def forward(self, prompts: Tensor) -> Tensor:
        """(..., T, D) -> (..., T, D)."""
        return self.layers(prompts.flatten(-2)).view_as(prompts)  # type: ignore[no-any-return]  # modules return Any
