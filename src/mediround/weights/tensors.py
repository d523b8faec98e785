"""Lists and copies the tensors of foreign files, in a child process, one tensor at a time.

The parent decides what goes where from names, types and shapes alone; only the child
(:mod:`mediround.weights.copying`) opens the files. Nothing is held whole: a checkpoint may be
larger than memory.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mediround.errors import CheckpointFileError, MediRoundError, OutputError, WeightsError
from mediround.weights.child import run_module

_CHILD = "mediround.weights.copying"

#: safetensors' names of the types that it can hold and torch knows -> bytes of one value.
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2,
    "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file, not its values.

    Attributes:
        file: where it lies.
        key: its name there, without what a program wrapped round the state dict.
        dtype: safetensors' name of its type, one of :data:`ITEM_BYTES`.
        shape: its sizes.
    """

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of its values."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Listing:
    """What one file holds.

    Attributes:
        tensors: in the file's order.
        wrapper: where the state dict lay inside the file, such as "module"; "" at the top.
        others: key -> type of what is no tensor, beside the tensors.
    """

    tensors: tuple[Tensor, ...]
    wrapper: str = ""
    others: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Move:
    """One tensor to copy.

    Attributes:
        tensor: from where.
        target: its new name.
        rows: first and past-the-last row to take; None for all.
    """

    tensor: Tensor
    target: str
    rows: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what arrives."""
        if self.rows is None:
            return self.tensor.shape
        return (self.rows[1] - self.rows[0], *self.tensor.shape[1:])

    @property
    def bytes(self) -> int:
        """Size of what arrives."""
        return math.prod(self.shape) * ITEM_BYTES[self.tensor.dtype]


@dataclass(frozen=True)
class TensorFile:
    """A file to be written.

    Attributes:
        path: where; its folder exists.
        packing: "safetensors" is written tensor by tensor, "torch" needs memory for the file.
        moves: what it holds; targets are unique.
        metadata: for the header of safetensors.
    """

    path: Path
    packing: Literal["safetensors", "torch"]
    moves: tuple[Move, ...]
    metadata: dict[str, str] = field(default_factory=dict)


def list_tensors(files: Sequence[Path]) -> dict[Path, Listing]:
    """Names, types and shapes of all tensors in ``files``; one child process for all.

    Raises:
        CheckpointFileError: a file is damaged, holds no state dict, or would run code.
    """
    answer = _run("list", {"files": [str(file) for file in files]})
    found: dict[Path, Listing] = {}
    for file, said in zip(files, answer["files"], strict=True):
        tensors = tuple(
            Tensor(file, t["key"], t["dtype"], tuple(t["shape"])) for t in said["tensors"]
        )
        found[file] = Listing(tensors, said["wrapper"], said["others"])
    return found


def write_files(files: Iterable[TensorFile], *, tick: Callable[[int], None] | None = None) -> None:
    """Write ``files``; each appears whole or not at all.

    Args:
        files: what to write, in this order.
        tick: told now and then how many bytes are there.

    Raises:
        OutputError: no space, or the folder cannot be written.
        CheckpointFileError: a source is damaged.
    """
    files = tuple(files)
    for file in files:
        targets = [move.target for move in file.moves]
        assert len(set(targets)) == len(targets), "two tensors of one name"
    total = sum(move.bytes for file in files for move in file.moves)
    folder = files[0].path.parent
    free = shutil.disk_usage(folder).free
    if total > free:
        raise OutputError(
            f"the tensors need {total / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free",
            remedy="choose a folder with more space",
        )

    def count() -> None:
        if tick is not None:
            partial = [p for f in files for p in (f.path, _partial(f.path)) if p.exists()]
            tick(sum(p.stat().st_size for p in partial))

    try:
        _run("copy", {"files": [asdict(file) for file in files]}, tick=count)
    finally:
        for file in files:
            _partial(file.path).unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _run(
    action: str, request: dict[str, Any], *, tick: Callable[[], None] | None = None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        asked, answered = Path(name) / "request.json", Path(name) / "answer.json"
        asked.write_text(json.dumps(request, default=str), encoding="utf-8")
        outcome = run_module(_CHILD, [action, str(asked), str(answered)], environment={}, tick=tick)
        if outcome.returncode == 0:
            answer: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
            return answer
    raise _error(outcome.last_line, outcome.returncode)


def _error(line: str, returncode: int) -> MediRoundError:
    """What the child says in its last line, as this process' error."""
    kinds: dict[str, type[MediRoundError]] = {
        "checkpoint": CheckpointFileError,
        "output": OutputError,
    }
    try:
        said = json.loads(line)
        kind = kinds[said["kind"]]
    except (ValueError, KeyError, TypeError):
        ended = f"was killed by signal {-returncode}" if returncode < 0 else f"failed: {line}"
        return WeightsError(
            f"the process that reads the checkpoint {ended}",
            remedy="if memory was short, use a checkpoint in smaller shards or as safetensors",
        )
    return kind(said["found"], expected=said["expected"], remedy=said["remedy"])
