"""Somebody's checkpoints -> canonical tensors, every key accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mediround.errors import CheckpointFileError, WeightsError
from mediround.weights.architecture import Architecture
from mediround.weights.examination import Examination
from mediround.weights.importing import examine
from mediround.weights.layouts import part_of
from mediround.weights.naming import NAMINGS, Naming, wrap

State = dict[str, torch.Tensor]

pytestmark = pytest.mark.usefixtures("in_process")


def save_plain(state: State, folder: Path) -> Path:
    save_file(state, folder / "any_name.safetensors")
    return folder / "any_name.safetensors"


def save_bin(state: State, folder: Path) -> Path:
    torch.save(state, folder / "pytorch_model.bin")
    torch.save({"lr": 1}, folder / "training_args.bin")
    return folder


def save_legacy(state: State, folder: Path) -> Path:
    torch.save(state, folder / "x.pth", _use_new_zipfile_serialization=False)
    return folder / "x.pth"


def save_shards(state: State, folder: Path, write: Callable[[State, Path], None], end: str) -> Path:
    weight_map = {}
    for number in range(3):
        name = f"model-{number + 1:05d}-of-00003.{end}"
        shard = {key: state[key] for key in list(state)[number::3]}
        write(shard, folder / name)
        weight_map.update(dict.fromkeys(shard, name))
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"model.{end}.index.json").write_text(json.dumps(index))
    return folder


def save_safe_shards(state: State, folder: Path) -> Path:
    return save_shards(state, folder, save_file, "safetensors")


def save_bin_shards(state: State, folder: Path) -> Path:
    return save_shards(state, folder, torch.save, "bin")


def save_deepspeed(state: State, folder: Path) -> Path:
    step = folder / "global_step500"
    step.mkdir()
    whole = {
        "module": state,
        "buffer_names": [],
        "optimizer": None,
        "param_shapes": [{key: value.shape for key, value in state.items()}],
        "lr_scheduler": {"last_batch_iteration": 5},
        "ds_config": {"bf16": {"enabled": True}},
        "ds_version": "0.9.5",
        "epoch": 3,
    }
    torch.save(whole, step / "mp_rank_00_model_states.pt")
    torch.save({"x": object}, step / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    (folder / "latest").write_text("global_step500")
    return folder


WRITERS = [
    save_plain, save_bin, save_legacy, save_safe_shards, save_bin_shards, save_deepspeed,
]  # fmt: skip


def put(state: State, tmp_path: Path, write: Callable[[State, Path], Path] = save_plain) -> Path:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    return write(state, folder)


def written(examination: Examination, tmp_path: Path) -> State:
    examination.write(tmp_path / "out.safetensors")
    return load_file(tmp_path / "out.safetensors")


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one
    )


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("write", WRITERS)
def test_an_official_checkpoint_in_every_layout(
    tmp_path: Path,
    official: State,
    sizes: Architecture,
    base: Path,
    clip_base: Path,
    write: Callable[[State, Path], Path],
    naming: Naming,
) -> None:
    state = {name: tensor.bfloat16() for name, tensor in official.items()}
    state["model.bbox_encoder.weight"] = official["model.bbox_encoder.weight"]
    if naming == "plain":
        state = {name: tensor for name, tensor in state.items() if ".lora_" not in name}
    keys = wrap(state, naming)
    source = put({keys[name]: tensor for name, tensor in state.items()}, tmp_path, write)
    found = examine([source], bases=[base, clip_base])
    assert found.missing == found.unexpected == ()
    assert found.misshapen == found.ignored == {}
    assert found.used == {keys[name]: (name,) for name in state}
    assert [(s.layout, s.naming) for s in found.sources] == [("mediround", naming)]
    assert found.sources[0].wrapper == ("module" if write is save_deepspeed else "")
    assert same(written(found, tmp_path), state)
    made = found.architecture
    assert made is not None
    assert (made.language, made.tower, made.sam) == (sizes.language, sizes.tower, sizes.sam)
    assert made.stage == 2
    assert made.dtype == "BF16"
    assert made.lora == (None if naming == "plain" else sizes.lora)
    assert made.assumed == ({} if naming == "plain" else {"lora.alpha": 16})


def test_stage_1_has_no_judge(tmp_path: Path, official: State, base: Path, clip_base: Path) -> None:
    state = {n: t for n, t in official.items() if part_of(n) not in ("jcm", "lora")}
    found = examine([put(state, tmp_path)], bases=[base, clip_base])
    assert found.architecture is not None
    assert found.architecture.stage == 1
    assert found.to_json()["stage"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "model.layers.1.mlp.up_proj.weight",
        "model.layers.0.self_attn.q_proj.lora_B.weight",
        "model.mm_projector.2.bias",
        "model.vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight",
        "model.visual_model.image_encoder.pos_embed",
        "model.visual_model.image_encoder.blocks.0.attn.rel_pos_h",
        "model.visual_model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "model.text_hidden_fcs.0.0.weight",
        "model.bbox_encoder.bias",
        "model.refine_MLP.fc3.bias",
        "lm_head.weight",
    ],
)
def test_a_missing_tensor_is_named_and_nothing_is_written(
    tmp_path: Path, official: State, base: Path, clip_base: Path, name: str
) -> None:
    del official[name]
    found = examine([put(official, tmp_path)], bases=[base, clip_base])
    assert found.missing == (name,)
    assert found.architecture is None
    with pytest.raises(WeightsError, match=f"1 needed tensors are missing: {name}") as caught:
        found.write(tmp_path / "out.safetensors")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_lost_last_layers_are_missed(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    last = ("model.layers.1.", "model.visual_model.image_encoder.blocks.1.")
    state = {n: t for n, t in official.items() if not n.startswith(last[0])}
    found = examine([put(state, tmp_path)], bases=[base, clip_base])
    assert len(found.missing) == 13
    assert all(name.startswith(last[0]) for name in found.missing)
    # No configuration says how many layers SAM has; that the last one sees everything does.
    state = {n: t for n, t in official.items() if not n.startswith(last[1])}
    with pytest.raises(CheckpointFileError, match="lacks its last layers|last of SAM's 1"):
        examine([put(state, tmp_path)], bases=[base, clip_base])
    config = json.loads((clip_base / "config.json").read_text())
    (clip_base / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    found = examine([put(official, tmp_path)], bases=[base, clip_base])
    assert len(found.missing) == 16
    assert "encoder.layers.2." in found.missing[0]


def test_unknown_keys_are_told_and_left_out(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    extra = {
        "model.image_newline": torch.zeros(8),
        "model.layers.7.mlp.up_proj.weight": torch.zeros(2, 2),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2),
    }
    found = examine([put(official | extra, tmp_path)], bases=[base, clip_base])
    assert found.unexpected == ("model.image_newline", "model.layers.7.mlp.up_proj.weight")
    assert found.ignored == {
        "model.layers.0.self_attn.rotary_emb.inv_freq": "made anew from the sizes"
    }
    assert same(written(found, tmp_path), official)
    assert {*found.used, *found.unexpected, *found.ignored} == {*official, *extra}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.bbox_encoder.weight", (8, 5)),
        ("model.layers.1.mlp.up_proj.weight", (12, 9)),
        ("model.layers.1.self_attn.v_proj.lora_A.weight", (3, 8)),
        ("model.visual_model.mask_decoder.iou_token.weight", (1, 15)),
        ("model.norm.weight", (8, 1)),
        ("model.norm.weight", (0,)),
    ],
)
def test_a_wrong_shape_is_named(
    tmp_path: Path, official: State, base: Path, clip_base: Path, name: str, shape: tuple[int, ...]
) -> None:
    official[name] = torch.zeros(shape)
    found = examine([put(official, tmp_path)], bases=[base, clip_base])
    assert list(found.misshapen) == [name]
    with pytest.raises(WeightsError, match=f"1 tensors have a wrong shape: {name}"):
        found.write(tmp_path / "out.safetensors")


def test_a_model_and_its_adapter_are_two_sources(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    # As peft saves an adapter alone: without the adapter's name.
    lora = {f"base_model.model.{n}": t for n, t in official.items() if ".lora_" in n}
    save_file(lora, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text('{"lora_alpha": 4, "r": 2}')
    plain = put({n: t for n, t in official.items() if ".lora_" not in n}, tmp_path)
    found = examine([plain, adapter], bases=[base, clip_base])
    assert same(written(found, tmp_path), official)
    assert found.architecture is not None
    assert found.architecture.lora is not None
    assert found.architecture.lora.alpha == 4
    assert found.architecture.assumed == {}
    told = examine([plain, adapter], bases=[base, clip_base], lora_alpha=9).architecture
    assert told is not None
    assert told.lora is not None
    assert told.lora.alpha == 9
    alone = examine([adapter])
    assert alone.parts == ("lora",)
    assert alone.missing == ()


def test_a_trained_copy_takes_the_place_of_the_original(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    keys = wrap(official, "peft")
    state = {keys[name]: tensor for name, tensor in official.items()}
    head = state.pop("base_model.model.lm_head.weight")
    state["base_model.model.lm_head.modules_to_save.default.weight"] = head
    before = "base_model.model.lm_head.original_module.weight"
    state[before] = torch.zeros_like(head)
    found = examine([put(state, tmp_path)], bases=[base, clip_base])
    assert found.ignored == {before: "superseded by the copy that was trained"}
    assert same(written(found, tmp_path), official)


def test_the_parts_of_a_base_model_come_from_many_places(
    tmp_path: Path, official: State, base: Path
) -> None:
    def only(*parts: str) -> State:
        return {n: t for n, t in official.items() if part_of(n) in parts}

    llava = {**only("language", "projector"), "model.layers.0.rotary_emb.inv_freq": torch.ones(1)}
    sam = {n.removeprefix("model.visual_model."): t for n, t in only("sam").items()}
    tower = {n.partition("vision_tower.vision_tower.")[2]: t for n, t in only("tower").items()}
    save_bin_shards(llava, base)
    torch.save({"model": sam, "optimizer": {"state": {}}, "epoch": 1}, tmp_path / "medsam.pth")
    save_file(tower, tmp_path / "clip.safetensors")
    found = examine([base, tmp_path / "medsam.pth", tmp_path / "clip.safetensors"])
    assert [s.layout for s in found.sources] == ["llava", "sam", "clip"]
    assert [s.wrapper for s in found.sources] == ["", "model", ""]
    assert found.parts == ("language", "projector", "tower", "sam")
    assert found.architecture is None
    found.require_complete()
    assert same(written(found, tmp_path), only(*found.parts))


def test_openai_clip_is_divided(tmp_path: Path, official: State) -> None:
    stem = "model.vision_tower.vision_tower.vision_model."
    state = {n.removeprefix(stem): t for n, t in official.items() if n.startswith(stem)}
    theirs: State = {"visual.proj": torch.ones(6, 2), "logit_scale": torch.ones(())}
    for old, new in {
        "embeddings.class_embedding": "class_embedding",
        "embeddings.patch_embedding.weight": "conv1.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "pre_layrnorm.weight": "ln_pre.weight",
        "pre_layrnorm.bias": "ln_pre.bias",
        "post_layernorm.weight": "ln_post.weight",
        "post_layernorm.bias": "ln_post.bias",
    }.items():
        theirs[f"visual.{new}"] = state[old]
    for n in range(2):
        layer, block = f"encoder.layers.{n}.", f"visual.transformer.resblocks.{n}."
        for leaf in ("weight", "bias"):
            fused = torch.cat([state[f"{layer}self_attn.{p}_proj.{leaf}"] for p in "qkv"])
            theirs[f"{block}attn.in_proj_{leaf}"] = fused
            theirs[f"{block}attn.out_proj.{leaf}"] = state[f"{layer}self_attn.out_proj.{leaf}"]
            for number in (1, 2):
                theirs[f"{block}ln_{number}.{leaf}"] = state[f"{layer}layer_norm{number}.{leaf}"]
            theirs[f"{block}mlp.c_fc.{leaf}"] = state[f"{layer}mlp.fc1.{leaf}"]
            theirs[f"{block}mlp.c_proj.{leaf}"] = state[f"{layer}mlp.fc2.{leaf}"]
    torch.save(theirs, tmp_path / "clip.pt")
    found = examine([tmp_path / "clip.pt"])
    assert found.sources[0].layout == "clip-openai"
    assert set(found.ignored) == {"visual.proj", "logit_scale"}
    assert same(written(found, tmp_path), {stem + name: tensor for name, tensor in state.items()})


def test_what_comes_twice_is_refused(tmp_path: Path, official: State, base: Path) -> None:
    source = put(official, tmp_path)
    with pytest.raises(CheckpointFileError, match="comes twice.*leave one of the sources out"):
        examine([source, source], bases=[base])
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointFileError, match="a is in a.safetensors and in b.safetensors"):
        examine([tmp_path])
    two = {
        f"base_model.model.model.layers.0.self_attn.q_proj.lora_A.{name}.weight": torch.zeros(2, 8)
        for name in ("default", "second")
    }
    save_file(two, tmp_path / "two.safetensors")
    with pytest.raises(CheckpointFileError, match="lora_A.weight comes twice"):
        examine([tmp_path / "two.safetensors"])


def test_a_shard_without_what_the_index_says_is_refused(tmp_path: Path, official: State) -> None:
    source = put(official, tmp_path, save_safe_shards)
    shard = source / "model-00002-of-00003.safetensors"
    state = load_file(shard)
    key = sorted(state)[0]
    del state[key]
    save_file(state, shard)
    with pytest.raises(CheckpointFileError, match=f"00002.* lacks {key}"):
        examine([source])


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    save_file({"transformer.h.0.attn.weight": torch.zeros(1)}, tmp_path / "gpt.safetensors")
    with pytest.raises(CheckpointFileError, match="no known layout: transformer.h.0.*llava-hf"):
        examine([tmp_path / "gpt.safetensors"])


def test_a_whole_model_needs_the_configuration_of_its_language_model(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    source = put(official, tmp_path)
    with pytest.raises(CheckpointFileError, match="no configuration.*--base"):
        examine([source])
    found = examine([source], bases=[base]).architecture
    # The width of CLIP's heads is a convention; whoever has no configuration is told.
    assert found is not None
    assert found.assumed == {"tower.heads": 1, "lora.alpha": 16}
    known: dict[str, Any] = json.loads((base / "config.json").read_text())
    for change, message in (
        ({"hidden_size": 16}, "hidden_size 16 and 2 heads, the embeddings are 8 wide"),
        ({"num_attention_heads": 3}, "3 heads"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers 'two'"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling"),
    ):
        (base / "config.json").write_text(json.dumps(known | change))
        with pytest.raises(CheckpointFileError, match=message):
            examine([source], bases=[base, clip_base])
    (base / "config.json").write_text("{")
    with pytest.raises(CheckpointFileError, match=r"config\.json cannot be read"):
        examine([source], bases=[base, clip_base])


def test_a_configuration_may_leave_out_what_transformers_knows(
    tmp_path: Path, official: State, base: Path, clip_base: Path
) -> None:
    config = {
        "model_type": "llava",
        "text_config": {"model_type": "llama", "rms_norm_eps": 1e-5, "num_attention_heads": 2},
        "vision_config": {"num_attention_heads": 3},
        "vision_feature_layer": -1,
    }
    (base / "config.json").write_text(json.dumps(config))
    found = examine([put(official, tmp_path)], bases=[base]).architecture
    assert found is not None
    assert (found.language.rope_theta, found.language.context) == (10000.0, 2048)
    assert (found.tower.heads, found.tower.layer) == (3, -1)
