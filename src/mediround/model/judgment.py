"""The judge: how good is this mask? A score in 0..1 for every mask the model draws.

The paper's judge (section 3.3) sees the ``[SEG]`` feature alone. This one sees what the decoder
ended up with: its mask token, its own IoU estimate, statistics of the mask itself, and how far it
agrees with what the scene shows (:mod:`mediround.model.scene`).
"""

import torch
from torch import Tensor, nn

from mediround.config import MaskDecoderConfig
from mediround.model.mask_decoder import Decoded, Perceptron
from mediround.model.roles import JudgeRole

STATISTICS, TOKEN = 8, 8  # numbers about a mask; of its token, a wide reading only overfits


class Judge(JudgeRole):
    """Predicts the IoU with the truth from a decoded mask."""

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.read_token = nn.Linear(config.width, TOKEN)
        self.layers = Perceptron(TOKEN + STATISTICS + 2, 32, 32, 1)

    def score(self, prompts: Tensor, decoded: Decoded) -> Tensor:  # noqa: ARG002
        """Scores (B, P) of what was decoded, whatever prompt it came from."""
        return self(decoded)  # type: ignore[no-any-return]  # modules return Any

    def evidence(self, decoded: Decoded) -> Tensor:
        """What is known of each mask, float32 (B, P, D + 10)."""
        iou = decoded.iou.float()
        agreement = (
            torch.zeros_like(iou) if decoded.agreement is None else decoded.agreement.float()
        )
        numbers = [statistics(decoded.logits), iou[..., None], agreement[..., None]]
        return torch.cat([decoded.mask_tokens.float(), *numbers], dim=-1)

    def weigh(self, evidence: Tensor) -> Tensor:
        """Evidence (..., D + 10) -> log odds (...) of the score."""
        token, numbers = evidence[..., : -STATISTICS - 2], evidence[..., -STATISTICS - 2 :]
        token = self.read_token(self.norm(token))
        return self.layers(torch.cat([token, numbers], dim=-1))[..., 0]  # type: ignore[no-any-return]  # modules return Any

    def forward(self, decoded: Decoded) -> Tensor:
        """Scores (B, P) in 0..1, float32."""
        return self.weigh(self.evidence(decoded)).sigmoid()


def statistics(logits: Tensor) -> Tensor:
    """(..., H, W) mask logits -> (..., 8) numbers about certainty, size and raggedness."""
    flat = logits.float()
    chance = flat.sigmoid()
    drawn = flat > 0
    area = drawn.sum((-2, -1)).clamp(min=1)
    inside = (chance * drawn).sum((-2, -1)) / area
    soft = chance.sum((-2, -1)).clamp(min=1e-3)
    agreement = 2 * (chance * drawn).sum((-2, -1)) / (area + soft)
    strict, lax = (flat > 1).sum((-2, -1)), (flat > -1).sum((-2, -1)).clamp(min=1)
    edges = (drawn[..., 1:, :] != drawn[..., :-1, :]).sum((-2, -1))
    edges = edges + (drawn[..., :, 1:] != drawn[..., :, :-1]).sum((-2, -1))
    return torch.stack(
        [
            inside,
            agreement,
            strict / lax,
            area.log() / 10,
            edges / area.sqrt() / 10,
            flat.amax((-2, -1)).clamp(-20, 20) / 20,
            (((chance - 0.5).abs() < 0.3).sum((-2, -1)) / area).clamp(max=3),
            (drawn.sum((-2, -1)) == 0).float(),
        ],
        dim=-1,
    )
