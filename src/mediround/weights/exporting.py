"""Tensors of ours -> a checkpoint as official programs write and read it.

The official evaluation reads every ``*.bin`` of a folder and nothing else, the layers of a model
trained with adapters named as peft 0.4 named them. Values and types stay as they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mediround.errors import WeightsError
from mediround.weights.naming import Naming, wrap
from mediround.weights.tensors import ITEM_BYTES, Move, TensorFile, list_tensors, write_files

Packing = Literal["safetensors", "torch"]
PACKINGS: tuple[Packing, ...] = ("safetensors", "torch")
#: Largest file, unless somebody says otherwise; memory that writing a PyTorch file takes.
SHARD_BYTES = 4_000_000_000

_STEMS: dict[Packing, tuple[str, str]] = {
    "safetensors": ("model", "safetensors"),
    "torch": ("pytorch_model", "bin"),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: names of the files with tensors.
        naming: how the tensors are named.
        packing: how they are packed.
        tensors: key in the checkpoint -> our name.
        bytes: of all values.
        dtypes: safetensors' names of types -> number of tensors.
    """

    files: tuple[str, ...]
    naming: Naming
    packing: Packing
    tensors: dict[str, str]
    bytes: int
    dtypes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The report, as plain values."""
        return {
            "files": list(self.files),
            "naming": self.naming,
            "packing": self.packing,
            "bytes": self.bytes,
            "dtypes": self.dtypes,
            "tensors": self.tensors,
        }


def export_tensors(
    file: Path,
    folder: Path,
    *,
    rename: Callable[[str], str] = str,
    naming: Naming | None,
    packing: Packing,
    shard_bytes: int = SHARD_BYTES,
    tick: Callable[[int], None] | None = None,
) -> Exported:
    """Write the tensors of ``file`` as an official checkpoint.

    Args:
        file: a safetensors file of ours.
        folder: exists; receives the shards and, if there are several, their index.
        rename: name in ``file`` -> canonical name.
        naming: None for what official programs read: "peft-0.4" with adapters, else "plain".
        packing: "torch" for what official programs read; needs memory for one shard.
        shard_bytes: a file grows no larger, unless a single tensor is.
        tick: told now and then how many bytes are there.

    Raises:
        WeightsError: "plain" is asked of a model with adapters.
        CheckpointFileError: ``file`` is damaged.
        OutputError: no space, or the folder cannot be written.
    """
    tensors = {rename(tensor.key): tensor for tensor in list_tensors([file])[file].tensors}
    adapted = any(".lora_" in name for name in tensors)
    if naming is None:
        naming = "peft-0.4" if adapted else "plain"
    if naming == "plain" and adapted:
        raise WeightsError(
            "the model has adapters, which the naming 'plain' has no place for",
            expected="peft-0.4, which the official programs read, or peft",
        )
    keys = wrap(tensors, naming)
    moves = [Move(tensors[name], keys[name]) for name in sorted(tensors)]
    shards = _shards(moves, shard_bytes)
    stem, suffix = _STEMS[packing]
    names = (
        [f"{stem}.{suffix}"]
        if len(shards) == 1
        else [f"{stem}-{n:05d}-of-{len(shards):05d}.{suffix}" for n in range(1, len(shards) + 1)]
    )
    write_files(
        [
            TensorFile(folder / name, packing, tuple(shard))
            for name, shard in zip(names, shards, strict=True)
        ],
        tick=tick,
    )
    total = sum(move.bytes for move in moves)
    if len(shards) > 1:
        where = {m.target: name for name, s in zip(names, shards, strict=True) for m in s}
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=2))
    return Exported(
        files=tuple(names),
        naming=naming,
        packing=packing,
        tensors={move.target: move.tensor.key for move in moves},
        bytes=total,
        dtypes=dict(Counter(move.tensor.dtype for move in moves)),
    )


def _shards(moves: list[Move], limit: int) -> list[list[Move]]:
    """Split so that each holds at most ``limit`` bytes, in order, none of them empty."""
    assert limit >= max(ITEM_BYTES.values()), "a shard smaller than a number"
    shards: list[list[Move]] = [[]]
    size = 0
    for move in moves:
        if shards[-1] and size + move.bytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(move)
        size += move.bytes
    return shards
