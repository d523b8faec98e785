"""Models by name: a preset is a function that returns a configuration."""

from collections.abc import Callable, Mapping

from mediround.config import (
    ClipPerceptionConfig,
    CorrectionConfig,
    LanguageConfig,
    MaskDecoderConfig,
    MistralConfig,
    ModelConfig,
    NormalisationConfig,
    ParcellationConfig,
    PerceptionConfig,
    QuestionConfig,
    SamVitConfig,
    SceneConfig,
    TinyVitConfig,
)


def tiny() -> ModelConfig:
    """Random weights, milliseconds: for tests."""
    return ModelConfig(
        name="tiny",
        vision=TinyVitConfig(
            widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), expand=2, out=16
        ),
        decoder=MaskDecoderConfig(width=16, heads=2, mlp=32),
        perception=PerceptionConfig(image_grid=4, inner=32),
        normalisation=NormalisationConfig(canvas=64),
        dtype="float32",
    )


def nano() -> ModelConfig:
    """The embedded default: SmolLM2-135M-Instruct and LiteMedSAM, trained by this project."""
    return ModelConfig(
        name="nano",
        vision_source="lite-medsam",
        language=LanguageConfig(
            source="smollm2-135m-instruct", width=576, layers=30, heads=9, kv_heads=3, inner=1536
        ),
        perception=PerceptionConfig(
            neighbours=("left_of", "right_of", "in_front_of", "behind", "nearest_to", "touching")
        ),
        correction=CorrectionConfig(second_opinion=True, keep="corrected"),
        scene=SceneConfig(),
        parcellation=ParcellationConfig(),
        questions=QuestionConfig(),
        denial_penalty=1.5,
    )


def mediround_7b() -> ModelConfig:
    """The paper's model: LLaVA-Med v1.5 (Mistral-7B, CLIP-L/336) and MedSAM (ViT-B/1024)."""
    return ModelConfig(
        name="mediround-7b",
        vision=SamVitConfig(),
        decoder=MaskDecoderConfig(prompt_tokens=1),
        language=MistralConfig(),
        perception=ClipPerceptionConfig(),
        projection="paper",
        seg_state="before",
        correction=CorrectionConfig(judge="paper", corrector=True),
        whole=True,
    )


def official_tiny() -> ModelConfig:
    """The paper's model at a size that a test runs in a second; random weights."""
    return ModelConfig(
        name="official-tiny",
        vision=SamVitConfig(width=32, layers=2, heads=2, mlp=128, global_layers=(1,)),
        decoder=MaskDecoderConfig(prompt_tokens=1),
        language=MistralConfig(vocabulary=483, width=64, layers=2, heads=4, kv_heads=2, inner=128),
        perception=ClipPerceptionConfig(width=32, layers=2, heads=2, mlp=64),
        projection="paper",
        seg_state="before",
        correction=CorrectionConfig(judge="paper", corrector=True),
        dtype="float32",
        whole=True,
    )


PRESETS: Mapping[str, Callable[[], ModelConfig]] = {
    "tiny": tiny,
    "nano": nano,
    "mediround-7b": mediround_7b,
    "official-tiny": official_tiny,
}
