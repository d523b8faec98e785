"""Tensor names of official checkpoints and ours, both ways; a tensor is only ever renamed.

Official names are those of a checkpoint without adapter (no ``base_model.model.`` in front); an
adapter's tensors are ``….q_proj.lora_A.weight`` and ``….q_proj.lora_B.weight`` beside
``….q_proj.weight``. Ours are names in a folder of a whole model, which say no more of an adapter
(:func:`mediround.model.checkpoint.stored_name`).
"""

import re
from typing import Final

from mediround.errors import WeightsError

_OURS_TO_OFFICIAL: Final = {
    "language.inner.": "",
    "perception.tower.": "model.vision_tower.vision_tower.vision_model.",
    "perception.image.": "model.mm_projector.",
    "perception.reference.": "model.bbox_encoder.",
    "projection.layers.": "model.text_hidden_fcs.0.",
    "judge.layers.": "model.mask_quality_MLP.",
    "corrector.layers.": "model.refine_MLP.",
}
_IMAGE_ENCODER: Final = {
    "patch_embed.projection.": "patch_embed.proj.",
    "layers.#.layer_norm1.": "blocks.#.norm1.",
    "layers.#.layer_norm2.": "blocks.#.norm2.",
    "layers.#.": "blocks.#.",
    "neck.conv1.": "neck.0.",
    "neck.layer_norm1.": "neck.1.",
    "neck.conv2.": "neck.2.",
    "neck.layer_norm2.": "neck.3.",
    "pos_embed": "pos_embed",
}
_PROMPT_ENCODER: Final = {
    "shared_embedding.positional_embedding": "pe_layer.positional_encoding_gaussian_matrix",
    "point_embed.#.": "point_embeddings.#.",
    "not_a_point_embed.": "not_a_point_embed.",
    "no_mask_embed.": "no_mask_embed.",
    "mask_embed.conv1.": "mask_downscaling.0.",
    "mask_embed.layer_norm1.": "mask_downscaling.1.",
    "mask_embed.conv2.": "mask_downscaling.3.",
    "mask_embed.layer_norm2.": "mask_downscaling.4.",
    "mask_embed.conv3.": "mask_downscaling.6.",
}
_HEADS: Final = ("output_hypernetworks_mlps.#.", "iou_prediction_head.")
_MASK_DECODER: Final = {
    **{
        f"transformer.layers.#.layer_norm{n}.": f"transformer.layers.#.norm{n}."
        for n in (1, 2, 3, 4)
    },
    "transformer.layer_norm_final_attn.": "transformer.norm_final_attn.",
    "transformer.layers.#.": "transformer.layers.#.",
    "transformer.final_attn_token_to_image.": "transformer.final_attn_token_to_image.",
    "iou_token.": "iou_token.",
    "mask_tokens.": "mask_tokens.",
    "upscale_conv1.": "output_upscaling.0.",
    "upscale_layer_norm.": "output_upscaling.1.",
    "upscale_conv2.": "output_upscaling.3.",
    **{
        f"{head}{ours}": f"{head}{official}"
        for head in _HEADS
        for ours, official in {
            "proj_in.": "layers.0.",
            "layers.0.": "layers.1.",
            "proj_out.": "layers.2.",
        }.items()
    },
}
_SAM: Final = {
    "encoder.": ("image_encoder.", _IMAGE_ENCODER),
    "prompts.": ("prompt_encoder.", _PROMPT_ENCODER),
    "decoder.": ("mask_decoder.", _MASK_DECODER),
}
_PAIRS: Final = [
    (f"segmenter.{part}{ours}", f"model.visual_model.{whole}{official}")
    for part, (whole, names) in _SAM.items()
    for ours, official in names.items()
] + list(_OURS_TO_OFFICIAL.items())
# The language model's own names have no mark of their own, so these are all there are.
_LANGUAGE: Final = re.compile(r"model\.(?:embed_tokens|layers\.\d+|norm)\.|lm_head\.")


def to_ours(official: str) -> str:
    """Our name of an official tensor, for instance ``model.layers.0.self_attn.q_proj.weight``.

    Raises:
        WeightsError: no tensor of an official checkpoint is called so.
    """
    for ours, theirs in _PAIRS:
        renamed = _renamed(official, theirs, ours) if theirs else None
        if renamed is not None:
            return renamed
    if _LANGUAGE.match(official):
        return f"language.inner.{official}"
    raise WeightsError(
        f"no tensor is called {official!r}", expected="a name of the official release"
    )


def to_official(ours: str) -> str:
    """Inverse of :func:`to_ours`.

    Raises:
        WeightsError: no tensor of a model in the paper's configuration is called so.
    """
    for own, theirs in _PAIRS:
        renamed = _renamed(ours, own, theirs)
        if renamed is not None and (theirs or _LANGUAGE.match(renamed)):
            return renamed
    raise WeightsError(
        f"no official tensor belongs to {ours!r}", expected="a model in the paper's configuration"
    )


def _renamed(name: str, before: str, after: str) -> str | None:
    """``name`` with the pattern ``before`` at its head replaced; ``#`` stands for a number."""
    found = re.match(re.escape(before).replace(r"\#", r"(\d+)"), name)
    if found is None:
        return None
    head = after.replace("#", found.group(1)) if found.groups() else after
    return head + name[found.end() :]
