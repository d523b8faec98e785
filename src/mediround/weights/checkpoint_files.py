"""Which files a checkpoint consists of, told from what lies there, never from its name.

    one file                 safetensors, or what ``torch.save`` wrote (zip or legacy pickle)
    a folder with an index   ``*.index.json`` with a ``weight_map``: the shards that it lists
    a folder without         all safetensors files; else all PyTorch files with weights
    a DeepSpeed folder       ``mp_rank_00_model_states.pt``, there or where ``latest`` points

Nothing is unpickled here; :mod:`mediround.weights.tensors` reads the files in a child process.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mediround.errors import CheckpointFileError

Container = Literal["safetensors", "torch", "deepspeed"]

_EXPECTED = (
    "a safetensors or PyTorch file, a folder of them with or without an index, "
    "or a DeepSpeed folder with mp_rank_00_model_states.pt"
)
_MODEL_STATES = re.compile(r"mp_rank_(\d+)_model_states\.pt")
_PARTITIONED = re.compile(r"zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt")
_TORCH_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
#: What trainers leave beside weights; none of it holds parameters.
_COMPANIONS = re.compile(
    r"training_args\.bin|(optimizer|scheduler|scaler)\.(bin|pt)|rng_state.*\.pth|"
    r".*optim_states\.pt"
)


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint.

    Attributes:
        source: what was asked for, a file or a folder.
        container: how the tensors are packed.
        files: those that hold tensors, in a fixed order; at least one.
        indexed: key -> file, where an index says so; empty without one.
        passed_over: names of weight files in the folder that are not read.
    """

    source: Path
    container: Container
    files: tuple[Path, ...]
    indexed: dict[str, Path]
    passed_over: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where configuration and tokenizer may lie beside the tensors."""
        return self.source if self.source.is_dir() else self.source.parent


def find_files(source: Path) -> CheckpointFiles:
    """The files that make up the checkpoint ``source``.

    Raises:
        CheckpointFileError: nothing there that holds tensors, a shard is missing, or the folder
            holds a partitioned DeepSpeed checkpoint.
    """
    if source.is_file():
        return CheckpointFiles(source, packing(source), (source,), {})
    if not source.is_dir():
        raise CheckpointFileError(f"{source} does not exist", expected=_EXPECTED)
    deepspeed = _deepspeed_file(source)
    if deepspeed is not None:
        return CheckpointFiles(source, "deepspeed", (deepspeed,), {})
    indexes = sorted(source.glob("*.index.json"))
    if indexes:
        # Of two complete copies of the same weights the one that cannot hold code is read.
        index = next((i for i in indexes if "safetensors" in i.name), indexes[0])
        return _indexed(source, index)
    return _loose(source)


def packing(file: Path) -> Literal["safetensors", "torch"]:
    """How one file is packed, by its first bytes.

    Raises:
        CheckpointFileError: neither safetensors nor PyTorch, or unreadable.
    """
    found = _packing(file)
    if found is None:
        raise CheckpointFileError(f"{file.name} holds no tensors", expected=_EXPECTED)
    return found


def _packing(file: Path) -> Literal["safetensors", "torch"] | None:
    try:
        with file.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise CheckpointFileError(f"{file.name} cannot be read ({error.strerror})") from error
    if len(head) == 9 and head[8:] == b"{":
        return "safetensors"
    # A zip archive, or a pickle of protocol 2 and later, which is how torch.save once began.
    return "torch" if head.startswith((b"PK\x03\x04", b"\x80")) else None


def _deepspeed_file(folder: Path) -> Path | None:
    """The model states of a DeepSpeed checkpoint; None when this is none."""
    tag = folder / "latest"
    inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and _has_states(p)]
    if _has_states(folder):
        place = folder
    elif tag.is_file():
        name = tag.read_text(encoding="utf-8", errors="replace").strip()
        place = folder / name
        if Path(name).name != name or not place.is_dir() or not _has_states(place):
            raise CheckpointFileError(
                f"{folder.name}/latest points to {name!r}, which holds no model states",
                expected="a folder beside it with mp_rank_00_model_states.pt",
            )
    elif len(inner) == 1:
        place = inner[0]
    elif inner:
        raise CheckpointFileError(
            f"{folder.name} holds {len(inner)} DeepSpeed checkpoints and no file latest",
            remedy=f"name one of them, such as {inner[-1]}",
        )
    else:
        return None
    names = sorted(p.name for p in place.iterdir())
    if any(_PARTITIONED.fullmatch(name) for name in names):
        raise CheckpointFileError(
            f"{place.name} is partitioned among processes (ZeRO stage 3)",
            expected="whole model states",
            remedy="run the zero_to_fp32.py that DeepSpeed wrote beside it and import its output",
        )
    states = [name for name in names if _MODEL_STATES.fullmatch(name)]
    if len(states) > 1:
        raise CheckpointFileError(
            f"{place.name} is split over {len(states)} tensor-parallel ranks",
            expected="mp_rank_00_model_states.pt alone",
            remedy="merge the ranks with the program that wrote them",
        )
    return place / states[0]


def _has_states(folder: Path) -> bool:
    return any(
        _MODEL_STATES.fullmatch(p.name) or _PARTITIONED.fullmatch(p.name) for p in folder.iterdir()
    )


def _indexed(folder: Path, index: Path) -> CheckpointFiles:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = {str(key): str(name) for key, name in weight_map.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointFileError(
            f"{index.name} is no index of shards ({type(error).__name__})",
            expected="a JSON object with weight_map: key -> file",
        ) from error
    outside = sorted(name for name in shards.values() if Path(name).name != name)
    if outside or not shards:
        raise CheckpointFileError(
            f"{index.name} lists {outside[0]!r}" if outside else f"{index.name} lists nothing",
            expected="files of its own folder",
        )
    names = sorted(set(shards.values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointFileError(
            f"{index.name} lists {len(names)} shards, {len(missing)} are missing: {missing[0]}",
            remedy="fetch the missing files",
        )
    files = tuple(folder / name for name in names)
    kinds = {packing(file) for file in files}
    if len(kinds) > 1:
        raise CheckpointFileError(f"{index.name} mixes safetensors and PyTorch files")
    others = tuple(p.name for p in _weight_files(folder) if p not in files)
    where = {key: folder / name for key, name in shards.items()}
    return CheckpointFiles(folder, kinds.pop(), files, where, others)


def _loose(folder: Path) -> CheckpointFiles:
    found = {file: _packing(file) for file in _weight_files(folder)}
    for container in ("safetensors", "torch"):
        files = tuple(file for file, kind in found.items() if kind == container)
        if files:
            others = tuple(file.name for file in found if file not in files)
            return CheckpointFiles(folder, packing(files[0]), files, {}, others)
    raise CheckpointFileError(f"{folder} holds no tensors", expected=_EXPECTED)


def _weight_files(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.is_file()
        and p.suffix in {".safetensors", *_TORCH_SUFFIXES}
        and not _COMPANIONS.fullmatch(p.name)
    )
