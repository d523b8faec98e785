"""What each stage of the official training changes."""

from typing import Final

from mediround.config import MistralConfig
from mediround.model.mediround import MediRound

_STAGE2: Final = ("judge.", "corrector.")
_STAGE1: Final = ("projection.", "perception.reference.", "segmenter.decoder.")
_WORDS: Final = ("language.inner.model.embed_tokens.", "language.inner.lm_head.")
"""The table is trained even with an adapter: its last rows are new."""


def freeze(model: MediRound, stage: int) -> None:
    """Let gradients reach what the stage trains, and nothing else.

    Stage 1 trains the language model (with an adapter: the adapter and the tables of words), the
    projection of ``[SEG]``, the box encoder and the mask decoder; stage 2 judge and corrector.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_trained(model, name, stage))


def _trained(model: MediRound, name: str, stage: int) -> bool:
    if stage == 2:
        return name.startswith(_STAGE2)
    if not name.startswith("language."):
        return name.startswith(_STAGE1)
    language = model.config.language
    adapted = isinstance(language, MistralConfig) and language.lora_rank > 0
    return not adapted or name.startswith(_WORDS) or "lora_" in name
