"""Which network plays which role: the kind that a configuration names -> its class."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mediround.config import LanguageConfig, ModelConfig
from mediround.model.codebook import Codebook
from mediround.model.correction import Corrector, PaperJudge, TrustingJudge
from mediround.model.judgment import Judge
from mediround.model.language_model import LanguageModel
from mediround.model.official.clip import ClipPerception
from mediround.model.official.mistral import MistralLanguage
from mediround.model.official.sam import SamSegmenter
from mediround.model.parcellation import Parcellation
from mediround.model.perception import Perception
from mediround.model.questions import QuestionReader
from mediround.model.roles import JudgeRole, LanguageRole, PerceptionRole, SegmenterRole
from mediround.model.scene import Scene
from mediround.model.segmenter import Segmenter

SEGMENTERS: Mapping[str, Callable[[ModelConfig], SegmenterRole]] = {
    "tiny-vit": Segmenter,
    "sam-vit": SamSegmenter,
}
PERCEPTIONS: Mapping[str, Callable[[ModelConfig], PerceptionRole]] = {
    "grid": Perception,
    "clip": ClipPerception,
}


class SegProjection(nn.Module):
    """``[SEG]`` state (..., W) -> the decoder's prompt tokens (..., T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = config.decoder.prompt_tokens
        width, out = config.language.width, self.tokens * config.decoder.width
        layers: dict[str, tuple[nn.Module, ...]] = {
            "normed": (nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()),
            "paper": (nn.Linear(width, width), nn.ReLU()),
        }
        self.layers = nn.Sequential(*layers[config.projection], nn.Linear(width, out))

    def forward(self, states: Tensor) -> Tensor:
        """(..., W) -> (..., T, D)."""
        return self.layers(states).unflatten(-1, (self.tokens, -1))  # type: ignore[no-any-return]  # modules return Any


def build_segmenter(config: ModelConfig) -> SegmenterRole:
    """Random weights."""
    return SEGMENTERS[config.vision.kind](config)


def build_perception(config: ModelConfig) -> PerceptionRole:
    """Random weights."""
    return PERCEPTIONS[config.perception.kind](config)


def build_language(config: ModelConfig, folder: Path | None) -> LanguageRole:
    """Pretrained where the configuration names a source; the tokenizer may lie in ``folder``."""
    dtype = getattr(torch, config.dtype)
    if isinstance(config.language, LanguageConfig):
        return LanguageModel.build(config.language, dtype)
    return MistralLanguage.build(config.language, dtype, folder, config.quirks)


def build_judge(config: ModelConfig) -> JudgeRole:
    """Random weights."""
    judges: Mapping[str | None, Callable[[], JudgeRole]]
    judges = {
        "evidence": lambda: Judge(config.decoder),
        "paper": lambda: PaperJudge(_prompt_width(config), config.correction.inner),
        None: TrustingJudge,
    }
    return judges[config.correction.judge]()


def build_codebook(config: ModelConfig) -> Codebook | None:
    """Zeros; None where it is not known what the model was trained on."""
    if not config.entities:
        return None
    return Codebook(len(config.entities), config.decoder.prompt_tokens, config.decoder.width)


def build_scene(config: ModelConfig) -> Scene | None:
    """Random weights; None where nothing was trained to tell what an image shows."""
    if config.scene is None or not config.entities:
        return None
    return Scene.build(config, len(config.entities))


def build_parcellation(config: ModelConfig) -> Parcellation | None:
    """Random weights; None where nothing was trained on heads."""
    if config.parcellation is None or not config.parcellation.entities:
        return None
    return Parcellation(config.parcellation)


def build_questions(config: ModelConfig) -> QuestionReader | None:
    """Random weights; None where the configuration has none."""
    if config.questions is None:
        return None
    return QuestionReader(config.questions, config.language.width)


def build_corrector(config: ModelConfig) -> Corrector | None:
    """Random weights; None where the configuration has none."""
    if not config.correction.corrector:
        return None
    return Corrector(_prompt_width(config), config.correction.inner)


def _prompt_width(config: ModelConfig) -> int:
    return config.decoder.prompt_tokens * config.decoder.width
