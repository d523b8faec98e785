"""Every tensor that a MediRound needs: canonical names and shapes, from sizes.

Names need the numbers of layers alone, so what is missing can be told before anything else is
known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mediround.weights.architecture import (
    Architecture,
    LanguageSizes,
    LoraSizes,
    SamSizes,
    TowerSizes,
    language_layers,
    layer_count,
    tower_layers,
)
from mediround.weights.configurations import Configurations
from mediround.weights.layouts import Part

HEADS: tuple[Part, ...] = ("seg", "box")

Sized = Iterator[tuple[str, tuple[int, ...]]]

_TOWER = "model.vision_tower.vision_tower.vision_model."
_SAM = "model.visual_model."


def expected_ranks(
    parts: Iterable[Part], names: Mapping[str, Any], configurations: Configurations
) -> dict[str, int]:
    """Canonical names that ``parts`` need, and how many dimensions each has.

    Args:
        parts: which parts must be whole.
        names: what is there; it tells the numbers of layers that no configuration tells.
        configurations: what lies beside the tensors.
    """
    wanted: dict[str, int] = {}
    for part in parts:
        wanted.update((n, len(shape)) for n, shape in _counted(part, names, configurations))
    return wanted


def _counted(part: Part, names: Mapping[str, Any], configurations: Configurations) -> Sized:
    """Names of one part; the shapes are of a model of width 8 and mean nothing."""
    layers = language_layers(names, configurations.language)
    if part == "language":
        yield from _language(_language_of(layers))
    elif part == "lora":
        adapted = {n.split(".")[-3] for n in names if ".lora_" in n}
        yield from _lora(_language_of(layers), LoraSizes(rank=1, alpha=1, targets=tuple(adapted)))
    elif part == "tower":
        yield from _tower(_tower_of(tower_layers(names, configurations.tower)))
    elif part == "sam":
        blocks = max(1, layer_count(names, _SAM + "image_encoder.blocks"))
        depth = max(1, layer_count(names, _SAM + "mask_decoder.transformer.layers"))
        yield from _sam(_sam_of(blocks, depth))
    else:
        yield from _small(part, 8, 8, 8, 8)


def tower_shapes(size: TowerSizes) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of CLIP's tensors."""
    return dict(_tower(size))


def sam_shapes(size: SamSizes) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of SAM's tensors."""
    return dict(_sam(size))


def head_shapes(width: int, seg: int) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of the heads that no base model has; judge and corrector not.

    Args:
        width: of the language model.
        seg: of the vector that prompts the decoder.
    """
    return {name: shape for part in HEADS for name, shape in _small(part, width, 0, seg, 0)}


def expected_shapes(sizes: Architecture) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of every tensor of a whole model."""
    found = dict(_language(sizes.language)) | tower_shapes(sizes.tower) | sam_shapes(sizes.sam)
    if sizes.lora is not None:
        found |= _lora(sizes.language, sizes.lora)
    small: tuple[Part, ...] = ("projector", "seg", "box")
    for part in (*small, "jcm") if sizes.jcm_inner is not None else small:
        width, tower = sizes.language.width, sizes.tower.width
        found |= _small(part, width, tower, sizes.seg_width, sizes.jcm_inner or 0)
    return found


def _linear(name: str, out: int, inside: int, *, bias: bool = True) -> Sized:
    yield f"{name}.weight", (out, inside)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Sized:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _projections(size: LanguageSizes) -> dict[str, tuple[str, int, int]]:
    """Linear layer -> its block, outputs and inputs."""
    narrow = size.width // size.heads * size.kv_heads
    return {
        "q_proj": ("self_attn", size.width, size.width),
        "k_proj": ("self_attn", narrow, size.width),
        "v_proj": ("self_attn", narrow, size.width),
        "o_proj": ("self_attn", size.width, size.width),
        "gate_proj": ("mlp", size.inner, size.width),
        "up_proj": ("mlp", size.inner, size.width),
        "down_proj": ("mlp", size.width, size.inner),
    }


def _language(size: LanguageSizes) -> Sized:
    yield "model.embed_tokens.weight", (size.vocabulary, size.width)
    for n in range(size.layers):
        for name, (block, out, inside) in _projections(size).items():
            yield f"model.layers.{n}.{block}.{name}.weight", (out, inside)
        yield f"model.layers.{n}.input_layernorm.weight", (size.width,)
        yield f"model.layers.{n}.post_attention_layernorm.weight", (size.width,)
    yield "model.norm.weight", (size.width,)
    yield "lm_head.weight", (size.vocabulary, size.width)


def _lora(size: LanguageSizes, lora: LoraSizes) -> Sized:
    projections = _projections(size)
    for n in range(size.layers):
        for target in lora.targets:
            if target in projections:
                block, out, inside = projections[target]
                stem = f"model.layers.{n}.{block}.{target}"
                yield f"{stem}.lora_A.weight", (lora.rank, inside)
                yield f"{stem}.lora_B.weight", (out, lora.rank)


def _tower(size: TowerSizes) -> Sized:
    width = size.width
    yield f"{_TOWER}embeddings.class_embedding", (width,)
    yield f"{_TOWER}embeddings.patch_embedding.weight", (width, 3, size.patch, size.patch)
    positions = (size.image // size.patch) ** 2 + 1
    yield f"{_TOWER}embeddings.position_embedding.weight", (positions, width)
    yield from _norm(f"{_TOWER}pre_layrnorm", width)
    for n in range(size.layers):
        layer = f"{_TOWER}encoder.layers.{n}."
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{layer}self_attn.{name}", width, width)
        yield from _norm(f"{layer}layer_norm1", width)
        yield from _linear(f"{layer}mlp.fc1", size.inner, width)
        yield from _linear(f"{layer}mlp.fc2", width, size.inner)
        yield from _norm(f"{layer}layer_norm2", width)
    yield from _norm(f"{_TOWER}post_layernorm", width)


def _sam(size: SamSizes) -> Sized:
    yield from _sam_encoder(size)
    yield from _sam_prompts(size)
    yield from _sam_decoder(size)


def _sam_encoder(size: SamSizes) -> Sized:
    stem, width = f"{_SAM}image_encoder.", size.width
    grid = size.image // size.patch
    yield f"{stem}pos_embed", (1, grid, grid, width)
    yield f"{stem}patch_embed.proj.weight", (width, 3, size.patch, size.patch)
    yield f"{stem}patch_embed.proj.bias", (width,)
    for n in range(size.layers):
        side = grid if n in size.global_layers else size.window
        block = f"{stem}blocks.{n}."
        yield from _norm(f"{block}norm1", width)
        for axis in "hw":
            yield f"{block}attn.rel_pos_{axis}", (2 * side - 1, width // size.heads)
        yield from _linear(f"{block}attn.qkv", 3 * width, width)
        yield from _linear(f"{block}attn.proj", width, width)
        yield from _norm(f"{block}norm2", width)
        yield from _linear(f"{block}mlp.lin1", size.inner, width)
        yield from _linear(f"{block}mlp.lin2", width, size.inner)
    yield f"{stem}neck.0.weight", (size.out, width, 1, 1)
    yield from _norm(f"{stem}neck.1", size.out)
    yield f"{stem}neck.2.weight", (size.out, size.out, 3, 3)
    yield from _norm(f"{stem}neck.3", size.out)


def _sam_prompts(size: SamSizes) -> Sized:
    stem, out = f"{_SAM}prompt_encoder.", size.out
    yield f"{stem}pe_layer.positional_encoding_gaussian_matrix", (2, out // 2)
    for n in range(4):
        yield f"{stem}point_embeddings.{n}.weight", (1, out)
    yield f"{stem}not_a_point_embed.weight", (1, out)
    for place, (wide, inside, kernel) in {0: (4, 1, 2), 3: (16, 4, 2), 6: (out, 16, 1)}.items():
        yield f"{stem}mask_downscaling.{place}.weight", (wide, inside, kernel, kernel)
        yield f"{stem}mask_downscaling.{place}.bias", (wide,)
    yield from _norm(f"{stem}mask_downscaling.1", 4)
    yield from _norm(f"{stem}mask_downscaling.4", 16)
    yield f"{stem}no_mask_embed.weight", (1, out)


def _attention(stem: str, width: int, inner: int) -> Sized:
    for name in ("q_proj", "k_proj", "v_proj"):
        yield from _linear(f"{stem}.{name}", inner, width)
    yield from _linear(f"{stem}.out_proj", width, inner)


def _sam_decoder(size: SamSizes) -> Sized:
    stem, out = f"{_SAM}mask_decoder.", size.out
    for n in range(size.decoder_layers):
        layer = f"{stem}transformer.layers.{n}."
        yield from _attention(f"{layer}self_attn", out, out)
        yield from _attention(f"{layer}cross_attn_token_to_image", out, out // 2)
        yield from _attention(f"{layer}cross_attn_image_to_token", out, out // 2)
        for number in range(1, 5):
            yield from _norm(f"{layer}norm{number}", out)
        yield from _linear(f"{layer}mlp.lin1", size.decoder_inner, out)
        yield from _linear(f"{layer}mlp.lin2", out, size.decoder_inner)
    yield from _attention(f"{stem}transformer.final_attn_token_to_image", out, out // 2)
    yield from _norm(f"{stem}transformer.norm_final_attn", out)
    yield f"{stem}iou_token.weight", (1, out)
    yield f"{stem}mask_tokens.weight", (4, out)
    yield f"{stem}output_upscaling.0.weight", (out, out // 4, 2, 2)
    yield f"{stem}output_upscaling.0.bias", (out // 4,)
    yield from _norm(f"{stem}output_upscaling.1", out // 4)
    yield f"{stem}output_upscaling.3.weight", (out // 4, out // 8, 2, 2)
    yield f"{stem}output_upscaling.3.bias", (out // 8,)
    heads = {f"output_hypernetworks_mlps.{n}": out // 8 for n in range(4)}
    for name, last in {**heads, "iou_prediction_head": 4}.items():
        yield from _linear(f"{stem}{name}.layers.0", out, out)
        yield from _linear(f"{stem}{name}.layers.1", out, out)
        yield from _linear(f"{stem}{name}.layers.2", last, out)


def _small(part: Part, width: int, tower: int, seg: int, inner: int) -> Sized:
    if part == "projector":
        yield from _linear("model.mm_projector.0", width, tower)
        yield from _linear("model.mm_projector.2", width, width)
    elif part == "seg":
        yield from _linear("model.text_hidden_fcs.0.0", width, width)
        yield from _linear("model.text_hidden_fcs.0.2", seg, width)
    elif part == "box":
        yield from _linear("model.bbox_encoder", width, 4)
    elif part == "jcm":
        for name, last in {"mask_quality_MLP": 1, "refine_MLP": seg}.items():
            yield from _linear(f"model.{name}.fc1", inner, seg)
            yield from _linear(f"model.{name}.fc2", inner, inner)
            yield from _linear(f"model.{name}.fc3", last, inner)


def _language_of(layers: int) -> LanguageSizes:
    return LanguageSizes(
        vocabulary=8, width=8, layers=layers, heads=1, kv_heads=1, inner=8,
        rope_theta=1.0, norm_eps=1.0, context=8,
    )  # fmt: skip


def _tower_of(layers: int) -> TowerSizes:
    return TowerSizes(
        width=8, layers=layers, heads=1, inner=8, image=8, patch=8, norm_eps=1.0, activation="",
        layer=-1,
    )  # fmt: skip


def _sam_of(layers: int, decoder_layers: int) -> SamSizes:
    return SamSizes(
        width=8, layers=layers, heads=1, inner=8, out=8, image=8, patch=8, window=1,
        global_layers=(layers - 1,), decoder_layers=decoder_layers, decoder_inner=8,
    )  # fmt: skip
