"""Official checkpoints -> a folder that loads, and back to the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediround.config import MistralConfig, ModelConfig, SamVitConfig
from mediround.errors import CheckpointFileError, ModelNotFoundError, OutputError, WeightsError
from mediround.model.folder import save_model
from mediround.model.loading import compose, load_model
from mediround.model.official.folder import (
    export_checkpoint,
    import_checkpoint,
)
from mediround.model.official.keys import to_ours
from mediround.presets import official_tiny
from mediround.weights.naming import NAMINGS, Naming

State = dict[str, Tensor]

needs_golden = pytest.mark.skipif(
    "MEDIROUND_SHARED" not in os.environ, reason="MEDIROUND_SHARED names no recorded checkpoints"
)


@pytest.fixture(scope="module")
def golden() -> Path:
    return Path(os.environ["MEDIROUND_SHARED"]) / "golden"


@pytest.fixture(scope="module")
def bases(golden: Path) -> list[Path]:
    return [golden / "models" / "llm_tiny", golden / "models" / "clip_tiny"]


@pytest.fixture(scope="module")
def recorded(golden: Path) -> State:
    """All 264 tensors, named as peft 0.4 names them."""
    plain = load_file(golden / "checkpoints" / "plain_stage2.safetensors")
    lora = load_file(golden / "checkpoints" / "lora_r8_stage2.lora_only.safetensors")
    return {f"base_model.model.{name}": each for name, each in plain.items()} | lora


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def newer(state: State) -> State:
    """With the names of peft since 0.6."""
    adapted = {name.partition(".lora_")[0] for name in state if ".lora_" in name}
    layers = {f"{layer}.weight": f"{layer}.base_layer.weight" for layer in adapted}
    return {layers.get(name, name): each for name, each in state.items()}


def as_bin(state: State, folder: Path) -> None:
    torch.save(state, folder / "pytorch_model.bin")


def as_shards(state: State, folder: Path) -> None:
    names = sorted(state)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: state[key] for key in keys}, folder / file)
    where = {key: file for file, keys in halves.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def as_deepspeed(state: State, folder: Path) -> None:
    (folder / "latest").write_text("global_step7")
    (folder / "global_step7").mkdir()
    whole = {"module": state, "ds_version": "0.9.5", "optimizer": None}
    torch.save(whole, folder / "global_step7" / "mp_rank_00_model_states.pt")


@needs_golden
@pytest.mark.parametrize(
    ("rename", "write", "naming"),
    [
        (dict, as_bin, "peft-0.4"),
        (newer, as_shards, "peft"),
        (dict, as_deepspeed, "peft-0.4"),
    ],
)
def test_a_recorded_checkpoint_loads_and_goes_back_bit_for_bit(
    tmp_path: Path,
    recorded: State,
    bases: list[Path],
    rename: Callable[[State], State],
    write: Callable[[State, Path], None],
    naming: Naming,
) -> None:
    state = rename(recorded)
    (tmp_path / "source").mkdir()
    write(state, tmp_path / "source")
    examination = import_checkpoint([tmp_path / "source"], tmp_path / "model", bases=bases)
    assert len(examination.used) == 264
    assert examination.naming == naming

    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert equal(stored, {to_ours(_plain(name)): each for name, each in recorded.items()})

    model = load_model(str(tmp_path / "model"), device="cpu").model
    layer = "model.layers.1.self_attn.q_proj"
    before = recorded[f"base_model.model.{layer}.weight"]
    down = recorded[f"base_model.model.{layer}.lora_A.default.weight"]
    up = recorded[f"base_model.model.{layer}.lora_B.default.weight"]
    merged = model.state_dict()[to_ours(f"{layer}.merged.weight")]
    torch.testing.assert_close(merged, before + 16 / 8 * up @ down)

    exported = export_checkpoint(tmp_path / "model", tmp_path / "back", shard_bytes=9_000_000)
    assert exported.naming == naming
    assert len(exported.files) > 1
    back: State = {}
    for file in exported.files:
        path = tmp_path / "back" / file
        back |= (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, weights_only=True)
        )
    assert equal(back, state)
    assert (tmp_path / "back" / "tokenizer.model").is_file()


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".default.", ".")


@needs_golden
@pytest.mark.parametrize("stage", [1, 2])
def test_sizes_are_those_of_the_recorded_model(
    tmp_path: Path, golden: Path, bases: list[Path], stage: int
) -> None:
    source = golden / "checkpoints" / "plain_stage2.safetensors"
    if stage == 1:
        state = load_file(source)
        jcm = ("model.mask_quality_MLP.", "model.refine_MLP.")
        save_file(
            {name: each for name, each in state.items() if not name.startswith(jcm)},
            tmp_path / "stage1.safetensors",
        )
        source = tmp_path / "stage1.safetensors"
    import_checkpoint([source], tmp_path / "model", bases=bases, template="llava_v1")
    config = ModelConfig.from_json((tmp_path / "model" / "config.json").read_text())
    expected = official_tiny()
    assert isinstance(expected.language, MistralConfig)
    assert config.name == "model"
    assert config.language == dataclasses.replace(expected.language, template="llava_v1")
    assert (config.vision, config.decoder) == (expected.vision, expected.decoder)
    assert config.perception == expected.perception
    assert config.dtype == "float32"
    assert (config.correction.judge, config.correction.corrector) == (
        ("paper", True) if stage == 2 else (None, False)
    )
    assert load_model(str(tmp_path / "model"), device="cpu").name == "model"


@needs_golden
def test_parts_can_be_imported_one_by_one_and_joined(
    tmp_path: Path, recorded: State, bases: list[Path]
) -> None:
    state = {_plain(name): each for name, each in recorded.items() if ".lora_" not in name}
    sam = {n: each for n, each in state.items() if n.startswith("model.visual_model.")}
    bare = {n.removeprefix("model.visual_model."): each for n, each in sam.items()}
    torch.save(bare, tmp_path / "medsam.pth")
    import_checkpoint([tmp_path / "medsam.pth"], tmp_path / "sam")
    assert equal(load_file(tmp_path / "sam" / "model.safetensors"), sam)
    assert not (tmp_path / "sam" / "config.json").exists()
    save_file({n: e for n, e in state.items() if n not in sam}, tmp_path / "rest.safetensors")
    with pytest.raises(WeightsError, match="needed tensors are missing: model.visual_model"):
        import_checkpoint([tmp_path / "rest.safetensors"], tmp_path / "model", bases=bases)
    both = [tmp_path / "rest.safetensors", tmp_path / "sam"]
    import_checkpoint(both, tmp_path / "model", bases=bases)
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert equal(stored, {to_ours(name): each for name, each in state.items()})
    export_checkpoint(tmp_path / "sam", tmp_path / "again", packing="safetensors")
    assert equal(load_file(tmp_path / "again" / "model.safetensors"), sam)


@needs_golden
def test_nothing_is_written_where_something_is_or_without_a_tokenizer(
    tmp_path: Path, golden: Path, bases: list[Path]
) -> None:
    source = golden / "checkpoints" / "plain_stage2.safetensors"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("x")
    with pytest.raises(OutputError, match="exists already"):
        import_checkpoint([source], tmp_path / "taken", bases=bases)
    (tmp_path / "base").mkdir()
    shutil.copyfile(bases[0] / "config.json", tmp_path / "base" / "config.json")
    with pytest.raises(CheckpointFileError, match="no tokenizer was found.*--base"):
        import_checkpoint([source], tmp_path / "model", bases=[tmp_path / "base", bases[1]])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "taken"]


def small() -> ModelConfig:
    """The paper's configuration, kilobytes."""
    tiny = official_tiny()
    assert isinstance(tiny.language, MistralConfig)
    return dataclasses.replace(
        tiny,
        vision=SamVitConfig(
            side=64, width=8, layers=2, heads=2, mlp=8, window=2, global_layers=(1,), out=256
        ),
        language=dataclasses.replace(tiny.language, lora_rank=2, width=16, heads=2, kv_heads=1),
    )


@pytest.mark.parametrize("naming", [None, *NAMINGS[1:]])
def test_a_model_trained_here_is_exported_and_comes_back(
    tmp_path: Path, naming: Naming | None
) -> None:
    config = small()
    model = compose(config)
    save_model(model, tmp_path / "trained", {})
    exported = export_checkpoint(tmp_path / "trained", tmp_path / "official", naming=naming)
    assert exported.files == ("pytorch_model.bin",)
    assert exported.naming == (naming or "peft-0.4")
    _language_base(config, tmp_path / "base")
    import_checkpoint(
        [tmp_path / "official"],
        tmp_path / "back",
        bases=[tmp_path / "base", tmp_path / "base" / "clip"],
    )
    assert equal(
        load_file(tmp_path / "back" / "model.safetensors"),
        load_file(tmp_path / "trained" / "model.safetensors"),
    )
    back = ModelConfig.from_json((tmp_path / "back" / "config.json").read_text())
    assert back == dataclasses.replace(config, name="back")


def _language_base(config: ModelConfig, folder: Path) -> None:
    language = config.language
    assert isinstance(language, MistralConfig)
    folder.mkdir()
    known = {
        "hidden_size": language.width,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "rms_norm_eps": language.norm_eps,
        "rope_theta": language.rope_theta,
        "max_position_embeddings": language.context,
    }
    (folder / "config.json").write_text(json.dumps(known))
    (folder / "tokenizer.model").write_bytes(b"pieces")
    clip = {"model_type": "clip_vision_model", "num_attention_heads": 2}
    (folder / "clip").mkdir()
    (folder / "clip" / "config.json").write_text(json.dumps(clip))


def test_only_models_of_the_paper_can_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model"):
        export_checkpoint(tmp_path, tmp_path / "out")
    nano = Path(__file__).parents[2] / "src" / "mediround" / "assets" / "nano"
    with pytest.raises(WeightsError, match="no official tensor belongs to"):
        export_checkpoint(nano, tmp_path / "out")
    assert not (tmp_path / "out").exists()
