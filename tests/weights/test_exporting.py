"""Ours -> an official checkpoint, and back to the same bits."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mediround.errors import WeightsError
from mediround.weights.exporting import PACKINGS, Packing, export_tensors
from mediround.weights.importing import examine
from mediround.weights.naming import NAMINGS, Naming

State = dict[str, torch.Tensor]

pytestmark = pytest.mark.usefixtures("in_process")

_TYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64])


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    types=st.lists(_TYPES, min_size=300, max_size=300),
    naming=st.sampled_from(NAMINGS),
    packing=st.sampled_from(PACKINGS),
    shard_bytes=st.integers(5_000, 100_000),
)
def test_what_is_exported_and_imported_again_has_the_same_bits(
    official: State,
    base: Path,
    clip_base: Path,
    types: list[torch.dtype],
    naming: Naming,
    packing: Packing,
    shard_bytes: int,
) -> None:
    state = {
        name: tensor.to(dtype)
        for (name, tensor), dtype in zip(official.items(), types, strict=False)
        if naming != "plain" or ".lora_" not in name
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        save_file(state, folder / "ours.safetensors")
        (folder / "out").mkdir()
        exported = export_tensors(
            folder / "ours.safetensors",
            folder / "out",
            naming=naming,
            packing=packing,
            shard_bytes=shard_bytes,
        )
        sizes = [
            sum(tensor.nbytes for tensor in _load(folder / "out" / name, packing).values())
            for name in exported.files
        ]
        assert sum(sizes) == exported.bytes == sum(tensor.nbytes for tensor in state.values())
        biggest = max(tensor.nbytes for tensor in state.values())
        assert max(sizes) <= max(shard_bytes, biggest)
        found = examine([folder / "out"], bases=[base, clip_base])
        assert found.naming == naming
        found.write(folder / "back.safetensors")
        back = load_file(folder / "back.safetensors")
        assert back.keys() == state.keys()
        for name, tensor in state.items():
            assert back[name].dtype == tensor.dtype
            assert torch.equal(back[name], tensor)


def _load(file: Path, packing: Packing) -> State:
    if packing == "safetensors":
        return load_file(file)
    state: State = torch.load(file, weights_only=True)
    return state


def test_files_are_what_official_programs_look_for(tmp_path: Path, official: State) -> None:
    save_file(official, tmp_path / "ours.safetensors")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    one = export_tensors(tmp_path / "ours.safetensors", whole, naming=None, packing="torch")
    assert one.files == ("pytorch_model.bin",)
    # The official loader joins every *.bin of a folder, loaded without any flag.
    state = torch.load(whole / "pytorch_model.bin", weights_only=True)
    assert all(key.startswith("base_model.model.") for key in state)
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight" in state
    assert "base_model.model.model.layers.0.self_attn.q_proj.weight" in state
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in state.values())
    many = export_tensors(
        tmp_path / "ours.safetensors", parts, naming=None, packing="torch", shard_bytes=9_000
    )
    index = json.loads((parts / "pytorch_model.bin.index.json").read_text())
    assert index["metadata"]["total_size"] == one.bytes == many.bytes
    assert set(index["weight_map"].values()) == set(many.files)
    joined: State = {}
    for file in sorted(parts.glob("*.bin")):
        shard = torch.load(file, weights_only=True)
        assert all(index["weight_map"][key] == file.name for key in shard)
        joined |= shard
    assert joined.keys() == state.keys()


def test_without_adapters_the_official_names_are_plain(tmp_path: Path, official: State) -> None:
    state = {name: tensor for name, tensor in official.items() if ".lora_" not in name}
    save_file(state, tmp_path / "ours.safetensors")
    (tmp_path / "out").mkdir()
    exported = export_tensors(
        tmp_path / "ours.safetensors", tmp_path / "out", naming=None, packing="safetensors"
    )
    assert exported.naming == "plain"
    assert exported.tensors == {name: name for name in state}
    assert exported.dtypes == {"F32": len(state)}


def test_adapters_have_no_plain_names(tmp_path: Path, official: State) -> None:
    save_file(official, tmp_path / "ours.safetensors")
    (tmp_path / "out").mkdir()
    with pytest.raises(WeightsError, match="adapters.*peft-0.4"):
        export_tensors(
            tmp_path / "ours.safetensors", tmp_path / "out", naming="plain", packing="torch"
        )
    assert not list((tmp_path / "out").iterdir())
