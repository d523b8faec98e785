"""Names of other programs' tensors, checked against the programs themselves where they exist."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    SamConfig,
    SamModel,
    SamVisionConfig,
)

from mediround.model.official.keys import to_official, to_ours
from mediround.weights.architecture import Architecture
from mediround.weights.configurations import Configurations
from mediround.weights.expected import expected_ranks, expected_shapes
from mediround.weights.layouts import LAYOUTS, Part, detect, part_of, place

NOTHING = Configurations()
TOWER = "model.vision_tower.vision_tower.vision_model."
VISION = CLIPVisionConfig(
    hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
    image_size=8, patch_size=4,
)  # fmt: skip


def placed(keys: Mapping[str, object], layout: str) -> dict[str, tuple[str, ...]]:
    """Key -> canonical names; every key is known to the layout."""
    found = detect(keys)
    assert found is not None
    assert found.name == layout
    places = {key: place(found, key) for key in keys}
    assert [key for key, (targets, reason) in places.items() if not targets and not reason] == []
    return {key: targets for key, (targets, _) in places.items()}


def test_every_canonical_name_belongs_to_a_part_and_is_left_alone(sizes: Architecture) -> None:
    names = expected_shapes(sizes)
    assert placed(names, "mediround") == {name: (name,) for name in names}
    parts = {part_of(name) for name in names}
    assert parts == {"language", "projector", "tower", "sam", "seg", "box", "jcm", "lora"}
    assert part_of("something.else") is None


def test_the_model_has_a_name_for_every_canonical_one(sizes: Architecture) -> None:
    for name in expected_shapes(sizes):
        assert to_official(to_ours(name)) == name


def test_all_needed_names_follow_from_numbers_of_layers(sizes: Architecture) -> None:
    shapes = expected_shapes(sizes)
    parts: tuple[Part, ...] = ("language", "projector", "tower", "sam", "seg", "box", "jcm", "lora")
    ranks = expected_ranks(parts, shapes, NOTHING)
    assert ranks == {name: len(shape) for name, shape in shapes.items()}
    assert (
        len(expected_ranks(parts, shapes, Configurations({"num_hidden_layers": 3})))
        == len(ranks) + 9 + 4
    )


@pytest.mark.skipif(
    "MEDIROUND_SHARED" not in os.environ, reason="MEDIROUND_SHARED names no recorded checkpoints"
)
def test_names_are_those_of_the_official_checkpoints() -> None:
    file = Path(os.environ["MEDIROUND_SHARED"]) / "golden" / "checkpoints" / "keys.json"
    plain = json.loads(file.read_text())["plain"]
    parts: tuple[Part, ...] = ("language", "projector", "tower", "sam", "seg", "box", "jcm")
    assert expected_ranks(parts, plain, NOTHING) == {
        name: len(shape) for name, shape in plain.items()
    }


def test_sam_of_transformers(sizes: Architecture) -> None:
    config = SamVisionConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, global_attn_indexes=[1],
        mlp_dim=8, image_size=32, patch_size=4, window_size=3,
    )  # fmt: skip
    state = SamModel(SamConfig(vision_config=config.to_dict())).state_dict()
    places = placed(state, "sam-hf")
    for key, (name,) in places.items():
        # The composition holds transformers' own parts: its names say where each tensor went.
        ours = to_ours(name)
        ends = key.partition(".")[2].replace("shared_image_embedding.", "")
        assert ours.endswith(ends), key
    canonical = {names[0] for names in places.values()}
    assert canonical == set(expected_ranks(("sam",), dict.fromkeys(canonical), NOTHING))
    tied = "shared_image_embedding.positional_embedding"
    assert place(detect(state), tied)[1].startswith("the same as")  # type: ignore[arg-type]


def test_sam_as_published(sizes: Architecture) -> None:
    names = [name for name in expected_shapes(sizes) if part_of(name) == "sam"]
    keys = {name.removeprefix("model.visual_model."): name for name in names}
    assert placed(keys, "sam") == {key: (name,) for key, name in keys.items()}


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_clip_of_transformers(prefix: str) -> None:
    state = {prefix + key: value for key, value in CLIPVisionModel(VISION).state_dict().items()}
    places = placed(state, "clip")
    assert {n for names in places.values() for n in names} == set(
        expected_ranks(("tower",), {names[0]: 0 for names in places.values()}, NOTHING)
    )
    for key, (name,) in places.items():
        assert name == TOWER + key.removeprefix(prefix)


def test_the_text_half_of_clip_is_known_and_left_out() -> None:
    text = CLIPTextConfig(
        hidden_size=8, num_hidden_layers=1, intermediate_size=8, num_attention_heads=2,
        vocab_size=10, eos_token_id=2, bos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    config = CLIPConfig(vision_config=VISION.to_dict(), text_config=text.to_dict())
    places = placed(CLIPModel(config).state_dict(), "clip")
    assert all(key.startswith("vision_model.") == bool(n) for key, n in places.items())


def test_clip_as_published_divides_the_fused_projection() -> None:
    block = "visual.transformer.resblocks.1."
    keys = [
        "visual.class_embedding", "visual.positional_embedding", "visual.proj",
        "visual.conv1.weight", "visual.ln_pre.weight", "visual.ln_post.bias",
        block + "attn.in_proj_weight", block + "attn.in_proj_bias", block + "attn.out_proj.weight",
        block + "ln_1.weight", block + "ln_2.bias", block + "mlp.c_fc.weight",
        block + "mlp.c_proj.bias", "positional_embedding", "text_projection", "logit_scale",
        "transformer.resblocks.0.attn.in_proj_weight", "token_embedding.weight", "ln_final.weight",
    ]  # fmt: skip
    places = placed(dict.fromkeys(keys), "clip-openai")
    layer = TOWER + "encoder.layers.1."
    assert places[block + "attn.in_proj_weight"] == tuple(
        f"{layer}self_attn.{name}_proj.weight" for name in "qkv"
    )
    assert places[block + "mlp.c_proj.bias"] == (layer + "mlp.fc2.bias",)
    assert places[block + "ln_2.bias"] == (layer + "layer_norm2.bias",)
    assert places["visual.conv1.weight"] == (TOWER + "embeddings.patch_embedding.weight",)
    unused = [key for key, names in places.items() if not names]
    assert unused == ["visual.proj", *keys[13:]]


@pytest.mark.parametrize("saved", [False, True])
def test_llava_of_transformers(tmp_path: Path, saved: bool) -> None:
    text = MistralConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=10,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=VISION, text_config=text, image_token_index=3)
    )
    state: dict[str, torch.Tensor] = model.state_dict()
    if saved:
        # Files keep the names of transformers 4.
        from safetensors.torch import load_file

        model.save_pretrained(tmp_path)
        state = load_file(tmp_path / "model.safetensors")
    places = placed(state, "llava-hf")
    names = {n for found in places.values() for n in found}
    assert len(names) == len(state)
    parts: tuple[Part, ...] = ("language", "projector", "tower")
    assert names == set(expected_ranks(parts, dict.fromkeys(names), NOTHING))


def test_a_layout_is_told_by_what_it_alone_has() -> None:
    def name(*keys: str) -> str | None:
        found = detect(keys)
        return None if found is None else found.name

    layer = "model.layers.0.self_attn.q_proj"
    assert name(f"{layer}.weight", "model.mm_projector.0.bias") == "llava"
    assert name(f"{layer}.lora_A.weight", f"{layer}.lora_B.weight") == "lora"
    assert name(f"{layer}.lora_A.weight", "model.bbox_encoder.bias") == "mediround"
    assert name("image_encoder.layers.0.blocks.0.attn.qkv.weight") is None  # a TinyViT
    assert name() is None
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
