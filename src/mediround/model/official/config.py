"""Sizes found in an official checkpoint -> the configuration of our model of that size."""

from dataclasses import replace
from typing import Literal

from mediround.config import (
    ClipPerceptionConfig,
    CorrectionConfig,
    MaskDecoderConfig,
    MistralConfig,
    ModelConfig,
    SamVitConfig,
)
from mediround.errors import WeightsError
from mediround.presets import mediround_7b
from mediround.weights.architecture import Architecture, LanguageSizes, LoraSizes

Template = Literal["mistral_instruct", "llava_v1"]

_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def model_config(
    sizes: Architecture, name: str, template: Template = "mistral_instruct"
) -> ModelConfig:
    """The configuration whose tensors are those of the checkpoint.

    Args:
        sizes: of the checkpoint.
        name: what the model is called.
        template: how dialogues were written in its training; a checkpoint does not tell.

    Raises:
        WeightsError: the language model is stored in a type that no model computes in.
        ConfigError: the sizes contradict each other.
    """
    if sizes.dtype not in _DTYPES:
        raise WeightsError(
            f"the language model is stored as {sizes.dtype}", expected=f"one of {list(_DTYPES)}"
        )
    correction = CorrectionConfig(judge=None)
    if sizes.jcm_inner is not None:
        correction = CorrectionConfig(judge="paper", corrector=True, inner=sizes.jcm_inner)
    tower, sam = sizes.tower, sizes.sam
    return replace(
        mediround_7b(),
        name=name,
        vision=SamVitConfig(
            side=sam.image,
            patch=sam.patch,
            width=sam.width,
            layers=sam.layers,
            heads=sam.heads,
            mlp=sam.inner,
            window=sam.window,
            global_layers=sam.global_layers,
            out=sam.out,
        ),
        decoder=MaskDecoderConfig(
            width=sam.out, depth=sam.decoder_layers, mlp=sam.decoder_inner, prompt_tokens=1
        ),
        language=_language(sizes.language, sizes.lora, template),
        perception=ClipPerceptionConfig(
            side=tower.image,
            patch=tower.patch,
            width=tower.width,
            layers=tower.layers,
            heads=tower.heads,
            mlp=tower.inner,
            activation=tower.activation,
            norm_eps=tower.norm_eps,
            layer=tower.layer,
        ),
        correction=correction,
        dtype=_DTYPES[sizes.dtype],
    )


def _language(size: LanguageSizes, lora: LoraSizes | None, template: Template) -> MistralConfig:
    plain = MistralConfig(
        vocabulary=size.vocabulary,
        width=size.width,
        layers=size.layers,
        heads=size.heads,
        kv_heads=size.kv_heads,
        inner=size.inner,
        rope_theta=size.rope_theta,
        norm_eps=size.norm_eps,
        context=size.context,
        template=template,
    )
    if lora is None:
        return plain
    return replace(plain, lora_rank=lora.rank, lora_alpha=lora.alpha, lora_targets=lora.targets)
