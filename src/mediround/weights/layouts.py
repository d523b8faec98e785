"""How others name the tensors of a MediRound and of its parts, as data.

Every layout is told by its keys and brought to one canonical naming: that of the official code
without peft, ``model.layers.0.self_attn.q_proj.weight`` and so on; adapters are
``model.layers.0.self_attn.q_proj.lora_A.weight`` and ``lora_B``. Names alone change; one layout
(OpenAI's CLIP) stores three matrices as one, whose rows are divided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["language", "projector", "tower", "sam", "seg", "box", "jcm", "lora"]

#: Canonical prefixes by part; "lora" lies inside the language model and is told by its suffix.
PREFIXES: Mapping[Part, tuple[str, ...]] = {
    "language": ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head."),
    "projector": ("model.mm_projector.",),
    "tower": ("model.vision_tower.",),
    "sam": ("model.visual_model.",),
    "seg": ("model.text_hidden_fcs.",),
    "box": ("model.bbox_encoder.",),
    "jcm": ("model.mask_quality_MLP.", "model.refine_MLP."),
    "lora": (),
}

_TOWER = "model.vision_tower.vision_tower.vision_model."
_SAM = "model.visual_model."
_CLIP_INSIDE = r"((?:embeddings|pre_layrnorm|encoder|post_layernorm)\.)"


@dataclass(frozen=True)
class Rule:
    """Keys that match ``pattern`` at their beginning become ``targets``.

    More than one target divides the rows evenly among them. Without targets the key is known and
    not needed, for ``reason``; with both, it is not needed if another key gives the target.
    """

    pattern: str
    targets: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Layout:
    """One way to name tensors.

    Attributes:
        name: what reports call it.
        mark: a key that matches it (at its beginning) tells the layout.
        parts: what a checkpoint of this layout must hold.
        rules: the first that matches a key decides.
    """

    name: str
    mark: str
    parts: tuple[Part, ...]
    rules: tuple[Rule, ...]


_REMADE = Rule(r".*(rotary_emb\.inv_freq|position_ids)$", reason="made anew from the sizes")
_OFFICIAL_RULES = (
    _REMADE,
    # transformers 5 left out one level of names inside CLIP.
    Rule(rf"model\.vision_tower\.vision_tower\.{_CLIP_INSIDE}", (rf"{_TOWER}\1",)),
    Rule(r"", ("",)),
)


def _inside(old: str, new: str, pairs: Mapping[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(old + a, (new + b,)) for a, b in pairs.items())


_MLP_HEADS = (
    Rule(
        r"mask_decoder\.(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_in\.",
        (rf"{_SAM}mask_decoder.\1.layers.0.",),
    ),
    Rule(
        r"mask_decoder\.(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.0\.",
        (rf"{_SAM}mask_decoder.\1.layers.1.",),
    ),
    Rule(
        r"mask_decoder\.(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_out\.",
        (rf"{_SAM}mask_decoder.\1.layers.2.",),
    ),
)
_SAM_HF_RULES = (
    *_inside(
        r"vision_encoder\.",
        f"{_SAM}image_encoder.",
        {
            r"patch_embed\.projection\.": "patch_embed.proj.",
            r"layers\.(\d+)\.layer_norm(\d)\.": r"blocks.\1.norm\2.",
            r"layers\.": "blocks.",
            r"neck\.conv1\.": "neck.0.",
            r"neck\.layer_norm1\.": "neck.1.",
            r"neck\.conv2\.": "neck.2.",
            r"neck\.layer_norm2\.": "neck.3.",
            r"pos_embed": "pos_embed",
        },
    ),
    *_inside(
        r"prompt_encoder\.",
        f"{_SAM}prompt_encoder.",
        {
            r"shared_embedding\.positional_embedding": (
                "pe_layer.positional_encoding_gaussian_matrix"
            ),
            r"point_embed\.": "point_embeddings.",
            r"mask_embed\.conv1\.": "mask_downscaling.0.",
            r"mask_embed\.layer_norm1\.": "mask_downscaling.1.",
            r"mask_embed\.conv2\.": "mask_downscaling.3.",
            r"mask_embed\.layer_norm2\.": "mask_downscaling.4.",
            r"mask_embed\.conv3\.": "mask_downscaling.6.",
            r"(no_mask_embed|not_a_point_embed)\.": r"\1.",
        },
    ),
    # Tied to the one above; a file holds either name or both.
    Rule(
        r"shared_image_embedding\.positional_embedding",
        (f"{_SAM}prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",),
        reason="the same as prompt_encoder.shared_embedding.positional_embedding",
    ),
    *_MLP_HEADS,
    *_inside(
        r"mask_decoder\.",
        f"{_SAM}mask_decoder.",
        {
            r"transformer\.layers\.(\d+)\.layer_norm(\d)\.": r"transformer.layers.\1.norm\2.",
            r"transformer\.layer_norm_final_attn\.": "transformer.norm_final_attn.",
            r"upscale_conv1\.": "output_upscaling.0.",
            r"upscale_layer_norm\.": "output_upscaling.1.",
            r"upscale_conv2\.": "output_upscaling.3.",
            r"(transformer|iou_token|mask_tokens)\.": r"\1.",
        },
    ),
)
_BLOCK = r"visual\.transformer\.resblocks\.(\d+)\."
_LAYER = rf"{_TOWER}encoder.layers.\1."
_CLIP_OPENAI_RULES = (
    Rule(r"visual\.class_embedding$", (f"{_TOWER}embeddings.class_embedding",)),
    Rule(r"visual\.positional_embedding$", (f"{_TOWER}embeddings.position_embedding.weight",)),
    Rule(r"visual\.conv1\.weight$", (f"{_TOWER}embeddings.patch_embedding.weight",)),
    Rule(r"visual\.ln_pre\.", (f"{_TOWER}pre_layrnorm.",)),
    Rule(r"visual\.ln_post\.", (f"{_TOWER}post_layernorm.",)),
    Rule(
        _BLOCK + r"attn\.in_proj_(weight|bias)$",
        tuple(rf"{_LAYER}self_attn.{name}_proj.\2" for name in "qkv"),
    ),
    Rule(_BLOCK + r"attn\.out_proj\.", (f"{_LAYER}self_attn.out_proj.",)),
    Rule(_BLOCK + r"ln_(\d)\.", (rf"{_LAYER}layer_norm\2.",)),
    Rule(_BLOCK + r"mlp\.c_fc\.", (f"{_LAYER}mlp.fc1.",)),
    Rule(_BLOCK + r"mlp\.c_proj\.", (f"{_LAYER}mlp.fc2.",)),
    Rule(r"visual\.proj$|logit_scale$|input_resolution$", reason="not used by MediRound"),
    Rule(
        r"(transformer|token_embedding|ln_final)\.|positional_embedding$|text_projection$"
        r"|context_length$|vocab_size$",
        reason="CLIP's text encoder, not used by MediRound",
    ),
)

#: In the order in which they are tried.
LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "mediround",
        r"model\.(visual_model|text_hidden_fcs|bbox_encoder|mask_quality_MLP|refine_MLP)\.",
        ("language", "projector", "tower", "sam", "seg", "box"),
        _OFFICIAL_RULES,
    ),
    Layout("llava", r"model\.mm_projector\.", ("language", "projector"), _OFFICIAL_RULES),
    Layout(
        "llava-hf",
        r"(model\.)?multi_modal_projector\.",
        ("language", "projector", "tower"),
        (
            _REMADE,
            Rule(r"(?:model\.)?language_model\.lm_head\.", ("lm_head.",)),
            Rule(r"lm_head\.", ("lm_head.",)),
            Rule(r"language_model\.model\.", ("model.",)),
            Rule(r"model\.language_model\.", ("model.",)),
            Rule(r"(?:model\.)?multi_modal_projector\.linear_1\.", ("model.mm_projector.0.",)),
            Rule(r"(?:model\.)?multi_modal_projector\.linear_2\.", ("model.mm_projector.2.",)),
            Rule(r"(?:model\.)?vision_tower\.(?:vision_model\.)?", (_TOWER,)),
        ),
    ),
    Layout("lora", r"model\.layers\.\d+\..*\.lora_[AB]\.", ("lora",), _OFFICIAL_RULES),
    Layout(
        "sam",
        r"image_encoder\.(blocks|neck|pos_embed)",
        ("sam",),
        (
            Rule(r"pixel_(mean|std)$", reason="made anew from the sizes"),
            Rule(r"(image_encoder|prompt_encoder|mask_decoder)\.", (rf"{_SAM}\1.",)),
        ),
    ),
    Layout("sam-hf", r"vision_encoder\.(layers|neck|pos_embed)", ("sam",), _SAM_HF_RULES),
    Layout(
        "clip",
        rf"(vision_model\.)?{_CLIP_INSIDE}",
        ("tower",),
        (
            _REMADE,
            Rule(rf"(?:vision_model\.)?{_CLIP_INSIDE}", (rf"{_TOWER}\1",)),
            Rule(r"text_(model|projection)\.", reason="CLIP's text encoder, not used by MediRound"),
            Rule(r"visual_projection\.|logit_scale$", reason="not used by MediRound"),
        ),
    ),
    Layout(
        "clip-openai",
        r"visual\.(transformer|conv1|class_embedding)",
        ("tower",),
        _CLIP_OPENAI_RULES,
    ),
)


def detect(keys: Iterable[str]) -> Layout | None:
    """The layout of some keys (:func:`mediround.weights.naming.strip` removed wrappers)."""
    keys = tuple(keys)
    for layout in LAYOUTS:
        mark = re.compile(layout.mark)
        if any(mark.match(key) for key in keys):
            return layout
    return None


def place(layout: Layout, key: str) -> tuple[tuple[str, ...], str]:
    """Canonical names for one key, and the reason why it may not be needed.

    Both are empty for a key that the layout does not know.
    """
    for rule in layout.rules:
        match = re.match(rule.pattern, key)
        if match:
            rest = key[match.end() :]
            return tuple(match.expand(t) + rest for t in rule.targets), rule.reason
    return (), ""


def part_of(name: str) -> Part | None:
    """The part that a canonical name belongs to."""
    if ".lora_" in name:
        return "lora"
    return next((part for part, starts in PREFIXES.items() if name.startswith(starts)), None)
