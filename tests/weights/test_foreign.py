"""Foreign files: read bit for bit, never executed."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mediround.errors import CheckpointFileError, OutputError, WeightsError
from mediround.weights import foreign, tensors
from mediround.weights.tensors import (
    ITEM_BYTES,
    Listing,
    Move,
    TensorFile,
    list_tensors,
    write_files,
)

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip


class Attack:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def listed(file: Path) -> Listing:
    return list_tensors([file])[file]


def copy(file: Path, out: Path) -> None:
    moves = tuple(Move(tensor, tensor.key) for tensor in listed(file).tensors)
    write_files([TensorFile(out, "torch" if out.suffix == ".bin" else "safetensors", moves)])


@st.composite
def states(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """Tensors of every type and shape, with views, transposes and shared storage."""
    found = {}
    for number in range(draw(st.integers(1, 4))):
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        dtype = draw(st.sampled_from(DTYPES))
        size = torch.Size(shape).numel() * dtype.itemsize
        raw = draw(st.binary(min_size=size, max_size=size))
        if dtype is torch.bool:
            raw = bytes(byte & 1 for byte in raw)
        buffer = torch.tensor(list(raw), dtype=torch.uint8)
        tensor = buffer.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
        found[f"t{number}"] = tensor
        if draw(st.booleans()):
            found[f"t{number}.T"] = tensor.permute(tuple(range(len(shape)))[::-1])
    return found


@pytest.mark.usefixtures("in_process")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(state=states(), legacy=st.booleans())
def test_every_value_and_type_survives_both_formats(
    state: dict[str, torch.Tensor], legacy: bool
) -> None:
    # torch itself cannot read these from its old format.
    young = {torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64}
    assume(not (legacy and any(tensor.dtype in young for tensor in state.values())))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(state, folder / "a.pth", _use_new_zipfile_serialization=not legacy)
        copy(folder / "a.pth", folder / "b.safetensors")
        copy(folder / "b.safetensors", folder / "c.safetensors")
        copy(folder / "c.safetensors", folder / "d.bin")
        last = torch.load(folder / "d.bin", weights_only=True)
        for result in (
            load_file(folder / "b.safetensors"),
            load_file(folder / "c.safetensors"),
            last,
        ):
            assert set(result) == set(state)
            for key, tensor in state.items():
                assert result[key].dtype == tensor.dtype
                assert result[key].shape == tensor.shape
                assert bits(result[key]) == bits(tensor)
        assert not list(folder.glob("*.partial"))


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("packing", ["safetensors", "torch"])
def test_rows_can_be_taken_apart(tmp_path: Path, packing: str) -> None:
    fused = torch.arange(24).reshape(6, 4)
    save_file({"qkv": fused}, tmp_path / "a.safetensors")
    torch.save({"qkv": fused}, tmp_path / "a.pth")
    for source in ("a.safetensors", "a.pth"):
        (tensor,) = listed(tmp_path / source).tensors
        moves = tuple(Move(tensor, name, (2 * n, 2 * n + 2)) for n, name in enumerate("qkv"))
        assert [move.shape for move in moves] == [(2, 4)] * 3
        out = tmp_path / "out"
        write_files([TensorFile(out, packing, moves)])  # type: ignore[arg-type]
        parts = load_file(out) if packing == "safetensors" else torch.load(out, weights_only=True)
        assert torch.equal(torch.cat([parts[name] for name in "qkv"]), fused)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_not_executed(
    tmp_path: Path, legacy: bool
) -> None:
    executed = tmp_path / "executed"
    file = tmp_path / "pytorch_model.bin"
    state = {"weight": torch.zeros(2), "evil": Attack(executed)}
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    # The attack works on a loader without protection, or this test would prove nothing.
    torch.load(file, weights_only=False)
    assert executed.exists()
    executed.unlink()
    with pytest.raises(CheckpointFileError, match=r"would call (posix|os|nt)\.system") as caught:
        list_tensors([file])
    assert caught.value.exit_code == 2
    assert "as safetensors" in caught.value.remedy
    assert not executed.exists()


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("path", "wrap"),
    [
        ("", lambda state: state),
        ("module", lambda state: {"module": state, "ds_version": "0.9", "lr_scheduler": None}),
        ("state_dict", lambda state: {"state_dict": OrderedDict(state), "epoch": 3}),
        ("model", lambda state: {"model": state, "optimizer": {"state": {}}, "epoch": 3}),
        ("state_dict.model", lambda state: {"state_dict": {"model": state}}),
    ],
)
def test_the_state_dict_is_found_inside(tmp_path: Path, path: str, wrap: Any) -> None:
    torch.save(wrap({"w": torch.ones(2, dtype=torch.bfloat16)}), tmp_path / "a.pt")
    found = listed(tmp_path / "a.pt")
    assert found.wrapper == path
    assert [(t.key, t.dtype, t.shape) for t in found.tensors] == [("w", "BF16", (2,))]


@pytest.mark.usefixtures("in_process")
def test_what_is_no_tensor_is_told(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "epoch": 3, "name": "x"}, tmp_path / "a.pt")
    assert listed(tmp_path / "a.pt").others == {"epoch": "int", "name": "str"}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(2)], "holds a list without tensors"),
        ({"epoch": 3}, "holds a dict without tensors"),
        ({"model": {"epoch": 3}}, "holds a dict without tensors under model"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "has the type torch.complex64"),
        ({"w": torch.eye(2).to_sparse()}, "layout torch.sparse_coo"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, value: object, message: str) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(CheckpointFileError, match=message):
        list_tensors([tmp_path / "a.pt"])


@pytest.mark.usefixtures("in_process")
def test_an_object_of_a_training_program_is_refused_by_its_name(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "args": Namespace(lr=1)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointFileError, match="would call argparse.Namespace"):
        list_tensors([tmp_path / "a.pt"])


@pytest.mark.usefixtures("in_process")
def test_a_program_is_refused(tmp_path: Path) -> None:
    # What OpenAI publishes CLIP as: a zip archive with code beside the tensors.
    import zipfile

    with zipfile.ZipFile(tmp_path / "ViT-L-14.pt", "w") as archive:
        archive.writestr("ViT/constants.pkl", b"\x80\x02).")
        archive.writestr("ViT/data.pkl", b"\x80\x02}.")
        archive.writestr("ViT/version", b"3\n")
    with pytest.raises(CheckpointFileError, match="TorchScript program.*state dict as safetensors"):
        list_tensors([tmp_path / "ViT-L-14.pt"])


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "legacy.pt"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_damaged(tmp_path: Path, name: str, kept: float) -> None:
    state = {f"w{n}": torch.full((50,), n) for n in range(5)}
    file = tmp_path / name
    if name == "a.safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=name == "a.pt")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointFileError, match="is damaged .*fetch it again"):
        list_tensors([file])


def test_safetensors_are_read_in_small_pieces(tmp_path: Path) -> None:
    size = 5 * foreign._CHUNK // 2
    save_file({"w": torch.zeros(size, dtype=torch.uint8)}, tmp_path / "a.safetensors")
    pieces = [len(p) for p in foreign.open_file(tmp_path / "a.safetensors").values("w", None)]
    assert sum(pieces) == size
    assert max(pieces) <= foreign._CHUNK


@pytest.mark.usefixtures("in_process")
def test_a_torch_file_is_mapped_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    load = torch.load

    def spy(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", spy)
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    list_tensors([tmp_path / "a.pt"])
    assert asked == [{"map_location": "cpu", "weights_only": True, "mmap": True}]


def test_too_little_space_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = tensors.Tensor(tmp_path / "a", "w", "F32", (10**15,))
    with pytest.raises(OutputError, match="need 4000000.0 GB and .* GB free"):
        write_files([TensorFile(tmp_path / "b", "safetensors", (Move(tensor, "w"),))])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("in_process")
def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors")
    (tmp_path / "b").mkdir()
    (tensor,) = listed(tmp_path / "a.safetensors").tensors
    with pytest.raises(OutputError, match="b cannot be written"):
        write_files([TensorFile(tmp_path / "b", "safetensors", (Move(tensor, "w"),))])


def test_a_killed_child_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediround.weights.child import Outcome

    monkeypatch.setattr(tensors, "run_module", lambda *_, **__: Outcome(-9, ""))
    with pytest.raises(WeightsError, match="killed by signal 9; if memory was short"):
        list_tensors([tmp_path / "a"])


def test_sizes_of_types_are_right() -> None:
    assert {name: dtype.itemsize for name, dtype in foreign._torch_dtypes().items()} == ITEM_BYTES
