"""Sizes of a MediRound, told from the shapes of its tensors and the configurations beside them.

Shapes say almost everything. What they cannot say (the number of attention heads, the base of the
rotary positions, how an adapter is scaled) comes from ``config.json`` of the language model and
of CLIP, and from ``adapter_config.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mediround.errors import CheckpointFileError
from mediround.weights.configurations import SELECTED_LAYER, Configurations

_TOWER = "model.vision_tower.vision_tower.vision_model."
_TOWER_LAYERS = _TOWER + "encoder.layers"

Shapes = Mapping[str, tuple[int, ...]]

#: What transformers means by a key that a configuration leaves out, by ``model_type``.
_UNSAID: Mapping[str, Mapping[str, Any]] = {
    "llama": {"heads": 32, "layers": 32, "rope_theta": 10000.0, "context": 2048, "eps": 1e-6},
    "mistral": {"heads": 32, "layers": 32, "rope_theta": 10000.0, "context": 131072, "eps": 1e-6},
}
#: Width of one attention head in every CLIP of OpenAI.
_CLIP_HEAD = 64
#: ``--lora_alpha`` of the official training unless somebody chose another.
_OFFICIAL_ALPHA = 16


@dataclass(frozen=True, kw_only=True)
class LanguageSizes:
    """A causal language model of the Llama or Mistral family."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    rope_theta: float
    norm_eps: float
    context: int


@dataclass(frozen=True, kw_only=True)
class TowerSizes:
    """CLIP's image encoder; ``image`` and ``patch`` are sides in pixels.

    ``layer`` is the hidden state that is used, counted from the end (-1 is the last).
    """

    width: int
    layers: int
    heads: int
    inner: int
    image: int
    patch: int
    norm_eps: float
    activation: str
    layer: int


@dataclass(frozen=True, kw_only=True)
class SamSizes:
    """SAM's image encoder and decoder; ``image`` and ``patch`` in pixels, ``window`` in patches."""

    width: int
    layers: int
    heads: int
    inner: int
    out: int
    image: int
    patch: int
    window: int
    global_layers: tuple[int, ...]
    decoder_layers: int
    decoder_inner: int


@dataclass(frozen=True, kw_only=True)
class LoraSizes:
    """Low-rank adapters in every layer; the update is scaled by ``alpha / rank``."""

    rank: int
    alpha: int
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a whole model.

    Attributes:
        language: the language model.
        tower: what it sees images with.
        sam: what draws.
        seg_width: of the vector that prompts the decoder.
        jcm_inner: inner width of judge and corrector; None before stage 2.
        lora: adapters of the language model, None without or when merged.
        dtype: safetensors' name of the language model's type.
        assumed: what neither shapes nor configurations said, and what was taken instead.
    """

    language: LanguageSizes
    tower: TowerSizes
    sam: SamSizes
    seg_width: int
    jcm_inner: int | None
    lora: LoraSizes | None
    dtype: str
    assumed: Mapping[str, float] = field(default_factory=dict)

    @property
    def stage(self) -> int:
        """Of the official training: 2 once judge and corrector exist."""
        return 1 if self.jcm_inner is None else 2


def layer_count(names: Mapping[str, Any], prefix: str) -> int:
    """Number of layers ``prefix.0``, ``prefix.1``…; 0 without any."""
    start = len(prefix) + 1
    found = {n[start:].partition(".")[0] for n in names if n.startswith(prefix + ".")}
    return max((int(number) + 1 for number in found if number.isdigit()), default=0)


def language_layers(names: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """What the configuration says, else what the names show; at least 1."""
    shown = max(1, layer_count(names, "model.layers"))
    return _integer(config, "num_hidden_layers", shown)


def tower_layers(names: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """The same for CLIP."""
    return _integer(config, "num_hidden_layers", max(1, layer_count(names, _TOWER_LAYERS)))


def infer_language(shapes: Shapes, config: Mapping[str, Any]) -> LanguageSizes:
    """Sizes of the language model; all of its tensors are there.

    Raises:
        CheckpointFileError: no configuration, or one of another model.
    """
    if not config:
        raise CheckpointFileError(
            "no configuration of the language model was found",
            expected="the config.json of LLaVA-Med or LLaVA beside the checkpoint",
            remedy="name its folder with --base",
        )
    vocabulary, width = shapes["model.embed_tokens.weight"]
    if config.get("rope_scaling") is not None:
        raise CheckpointFileError(
            "the language model scales its rotary positions (rope_scaling)",
            expected="none, as in LLaVA-Med and LLaVA",
        )
    unsaid = _UNSAID["llama" if "llama" in str(config.get("model_type", "")) else "mistral"]
    heads = _integer(config, "num_attention_heads", unsaid["heads"])
    said = _integer(config, "hidden_size", width)
    if said != width or width % heads:
        raise CheckpointFileError(
            f"config.json says hidden_size {said} and {heads} heads, "
            f"the embeddings are {width} wide",
            expected="the configuration of this language model",
        )
    rope = config.get("rope_parameters") or config
    context = _integer(config, "max_position_embeddings", unsaid["context"])
    return LanguageSizes(
        vocabulary=vocabulary,
        width=width,
        layers=language_layers(shapes, config),
        heads=heads,
        kv_heads=shapes["model.layers.0.self_attn.k_proj.weight"][0] // (width // heads),
        inner=shapes["model.layers.0.mlp.gate_proj.weight"][0],
        rope_theta=float(rope.get("rope_theta", unsaid["rope_theta"])),
        norm_eps=float(config.get("rms_norm_eps", unsaid["eps"])),
        # Within one sliding window a sliding window changes nothing.
        context=min(context, config.get("sliding_window") or context),
    )


def infer_tower(
    shapes: Shapes, configurations: Configurations, assumed: dict[str, float]
) -> TowerSizes:
    """Sizes of CLIP's image encoder; all of its tensors are there.

    Raises:
        CheckpointFileError: a configuration of another model.
    """
    config = configurations.tower
    stem = _TOWER
    width, _, patch, _ = shapes[stem + "embeddings.patch_embedding.weight"]
    positions = shapes[stem + "embeddings.position_embedding.weight"][0]
    heads = _integer(config, "num_attention_heads", max(1, width // _CLIP_HEAD))
    if "num_attention_heads" not in config:
        assumed["tower.heads"] = heads
    if width % heads:
        raise CheckpointFileError(
            f"CLIP is {width} wide with {heads} heads", expected="its own configuration"
        )
    return TowerSizes(
        width=width,
        layers=tower_layers(shapes, config),
        heads=heads,
        inner=shapes[stem + "encoder.layers.0.mlp.fc1.weight"][0],
        image=math.isqrt(positions - 1) * patch,
        patch=patch,
        norm_eps=float(config.get("layer_norm_eps", 1e-5)),
        activation=str(config.get("hidden_act", "quick_gelu")),
        layer=int(configurations.language.get("mm_vision_select_layer", SELECTED_LAYER)),
    )


def infer_sam(shapes: Shapes) -> SamSizes:
    """Sizes of SAM; all of its tensors are there."""
    encoder = "model.visual_model.image_encoder."
    decoder = "model.visual_model.mask_decoder.transformer.layers"
    _, grid, _, width = shapes[encoder + "pos_embed"]
    patch = shapes[encoder + "patch_embed.proj.weight"][2]
    layers = layer_count(shapes, encoder + "blocks")
    # A relative position table of s + s - 1 rows serves windows of s patches.
    sides = [(shapes[f"{encoder}blocks.{n}.attn.rel_pos_h"][0] + 1) // 2 for n in range(layers)]
    whole = tuple(n for n, side in enumerate(sides) if side == grid)
    if not whole or whole[-1] != layers - 1:
        raise CheckpointFileError(
            f"the last of SAM's {layers} encoder layers looks at windows of {sides[-1]} patches",
            expected=f"at all {grid}, as in every SAM",
            remedy="the checkpoint lacks its last layers; fetch it again",
        )
    return SamSizes(
        width=width,
        layers=layers,
        heads=width // shapes[encoder + "blocks.0.attn.rel_pos_h"][1],
        inner=shapes[encoder + "blocks.0.mlp.lin1.weight"][0],
        out=shapes[encoder + "neck.0.weight"][0],
        image=grid * patch,
        patch=patch,
        window=min(sides),
        global_layers=whole,
        decoder_layers=layer_count(shapes, decoder),
        decoder_inner=shapes[f"{decoder}.0.mlp.lin1.weight"][0],
    )


def infer_lora(
    shapes: Shapes, config: Mapping[str, Any], alpha: int | None, assumed: dict[str, float]
) -> LoraSizes | None:
    """Sizes of the adapters, None without any.

    Args:
        shapes: of all tensors.
        config: ``adapter_config.json``, if there is one.
        alpha: what the caller says; else the configuration counts, else the official default.
        assumed: receives ``lora.alpha`` when it is the default.
    """
    first = [name for name in shapes if name.endswith(".lora_A.weight")]
    if not first:
        return None
    if alpha is None and "lora_alpha" in config:
        alpha = _integer(config, "lora_alpha", _OFFICIAL_ALPHA)
    if alpha is None:
        alpha = assumed["lora.alpha"] = _OFFICIAL_ALPHA
    return LoraSizes(
        rank=shapes[first[0]][0],
        alpha=alpha,
        targets=tuple(sorted({name.split(".")[-3] for name in first})),
    )


def _integer(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointFileError(
            f"a configuration says {key} {value!r}", expected="a whole number"
        )
    return value
