"""Which files make up a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediround.errors import CheckpointFileError
from mediround.weights.checkpoint_files import find_files

SAFE = (2).to_bytes(8, "little") + b"{}"
ZIP = b"PK\x03\x04rest"
PICKLE = b"\x80\x02rest"


def fill(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def index(folder: Path, name: str, weight_map: object) -> None:
    (folder / name).write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(
    ("content", "container"), [(SAFE, "safetensors"), (ZIP, "torch"), (PICKLE, "torch")]
)
def test_a_file_is_told_by_its_first_bytes_not_its_name(
    tmp_path: Path, content: bytes, container: str
) -> None:
    for name in ("model.safetensors", "llava.bin", "no_suffix"):
        (tmp_path / name).write_bytes(content)
        assert find_files(tmp_path / name).container == container


@pytest.mark.parametrize("content", [b"", b"PK", b"text, not tensors", b"GGUF\x03\x00\x00\x00\x00"])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(CheckpointFileError, match="holds no tensors; expected a safetensors"):
            find_files(source)
    with pytest.raises(CheckpointFileError, match="does not exist"):
        find_files(tmp_path / "nowhere")


def test_companions_of_training_are_no_weights(tmp_path: Path) -> None:
    fill(
        tmp_path, pytorch_model__bin=ZIP, training_args__bin=ZIP, optimizer__pt=ZIP,
        scheduler__pt=ZIP, rng_state_0__pth=ZIP, notes__txt=b"x",
    )  # fmt: skip
    found = find_files(tmp_path)
    assert [f.name for f in found.files] == ["pytorch_model.bin"]
    assert found.passed_over == ()


def test_safetensors_are_preferred_and_the_rest_is_told(tmp_path: Path) -> None:
    fill(tmp_path, model__safetensors=SAFE, pytorch_model__bin=ZIP)
    found = find_files(tmp_path)
    assert [f.name for f in found.files] == ["model.safetensors"]
    assert found.passed_over == ("pytorch_model.bin",)


def test_an_index_names_the_shards(tmp_path: Path) -> None:
    fill(tmp_path, a__safetensors=SAFE, b__safetensors=SAFE, other__safetensors=SAFE, c__bin=ZIP)
    index(tmp_path, "model.safetensors.index.json", {"x": "b.safetensors", "y": "a.safetensors"})
    index(tmp_path, "pytorch_model.bin.index.json", {"x": "c.bin"})
    found = find_files(tmp_path)
    assert [f.name for f in found.files] == ["a.safetensors", "b.safetensors"]
    assert found.indexed == {"x": tmp_path / "b.safetensors", "y": tmp_path / "a.safetensors"}
    assert found.passed_over == ("c.bin", "other.safetensors")


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"x": "a.bin", "y": "gone.bin"}, "2 shards, 1 are missing: gone.bin"),
        ({"x": "../a.bin"}, "lists '../a.bin'; expected files of its own folder"),
        ({"x": "/etc/passwd"}, "lists '/etc/passwd'"),
        ({}, "lists nothing"),
        ([], "no index of shards"),
        (None, "no index of shards"),
        ({"x": "a.bin", "y": "b.safetensors"}, "mixes"),
    ],
)
def test_a_bad_index_is_refused(tmp_path: Path, weight_map: object, message: str) -> None:
    fill(tmp_path, a__bin=ZIP, b__safetensors=SAFE)
    index(tmp_path, "pytorch_model.bin.index.json", weight_map)
    with pytest.raises(CheckpointFileError, match=message):
        find_files(tmp_path)


STATES = "mp_rank_00_model_states__pt"


def test_a_deepspeed_folder_is_found_however_it_is_named(tmp_path: Path) -> None:
    step = fill(tmp_path / "run" / "global_step5", **{STATES: ZIP, "x_optim_states__pt": ZIP})
    for source in (step, tmp_path / "run"):
        found = find_files(source)
        assert found.container == "deepspeed"
        assert found.files == (step / "mp_rank_00_model_states.pt",)
    later = fill(tmp_path / "run" / "global_step9", **{STATES: ZIP})
    with pytest.raises(CheckpointFileError, match="holds 2 DeepSpeed checkpoints and no file lat"):
        find_files(tmp_path / "run")
    (tmp_path / "run" / "latest").write_text("global_step9\n")
    assert find_files(tmp_path / "run").files == (later / "mp_rank_00_model_states.pt",)


@pytest.mark.parametrize("tag", ["global_step7", "../elsewhere", "", "."])
def test_a_wrong_pointer_is_refused(tmp_path: Path, tag: str) -> None:
    fill(tmp_path / "elsewhere", **{STATES: ZIP})
    fill(tmp_path / "run" / "global_step5", **{STATES: ZIP})
    (tmp_path / "run" / "latest").write_text(tag)
    with pytest.raises(CheckpointFileError, match="which holds no model states"):
        find_files(tmp_path / "run")


def test_split_deepspeed_checkpoints_are_refused_with_the_remedy(tmp_path: Path) -> None:
    fill(tmp_path / "a", **{STATES: ZIP, "mp_rank_01_model_states__pt": ZIP})
    with pytest.raises(CheckpointFileError, match="2 tensor-parallel ranks"):
        find_files(tmp_path / "a")
    fill(tmp_path / "b", zero_pp_rank_0_mp_rank_00_model_states__pt=ZIP)
    with pytest.raises(CheckpointFileError, match="zero_to_fp32.py"):
        find_files(tmp_path / "b")
