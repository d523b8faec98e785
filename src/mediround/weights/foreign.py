"""Readers of foreign tensor files; used in the child process of :mod:`.copying` alone.

safetensors files are read by position and need no torch. PyTorch files are opened with
``weights_only``, which refuses whatever would run code, and mapped into memory where their format
allows (all since PyTorch 1.6), so that one tensor at a time is touched.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mediround.weights.tensors import ITEM_BYTES

if TYPE_CHECKING:
    import torch

Rows = tuple[int, int] | None

#: Under which keys programs put the state dict beside other things.
_WRAPPERS = ("module", "state_dict", "model_state_dict", "model")
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")
_CHUNK = 1 << 24


class ReadingError(Exception):
    """Told to the parent process; ``kind`` is "checkpoint" or "output"."""

    def __init__(
        self, found: str, expected: str = "", remedy: str = "", kind: str = "checkpoint"
    ) -> None:
        super().__init__(found)
        self.told = {"kind": kind, "found": found, "expected": expected, "remedy": remedy}


class Reader(Protocol):
    """The tensors of one file, read when asked for.

    Attributes:
        shapes: key -> type (safetensors' name) and shape, in the file's order.
        others: key -> type of what is no tensor.
        wrapper: where the state dict lay inside the file.
    """

    shapes: dict[str, tuple[str, tuple[int, ...]]]
    others: dict[str, str]
    wrapper: str

    def values(self, key: str, rows: Rows) -> Iterator[bytes | memoryview]:
        """The bytes of one tensor or some of its rows, in row-major order."""

    def tensor(self, key: str, rows: Rows) -> torch.Tensor:
        """One tensor or some of its rows, with a storage of its own."""


def open_file(file: Path) -> Reader:
    """The reader for ``file``, by its first bytes.

    Raises:
        ReadingError: damaged, no state dict, or it would run code.
    """
    with file.open("rb") as stream:
        return SafetensorsReader(file) if stream.read(9)[8:] == b"{" else TorchReader(file)


class SafetensorsReader:
    """A safetensors file; see :class:`Reader`."""

    def __init__(self, file: Path) -> None:
        import safetensors

        self.file, self.wrapper = file, ""
        self.others: dict[str, str] = {}
        try:
            # Checks what the header says; the positions it then vouches for are read below.
            with safetensors.safe_open(file, "np") as handle:
                keys = list(handle.keys())
        except (OSError, safetensors.SafetensorError) as error:
            raise _damaged(file, error) from error
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            self._header: dict[str, Any] = json.loads(stream.read(length))
        self._start = 8 + length
        self.shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        for key in sorted(keys, key=lambda k: self._header[k]["data_offsets"][0]):
            dtype = self._header[key]["dtype"]
            _require_known(file, key, dtype)
            self.shapes[key] = (dtype, tuple(self._header[key]["shape"]))

    def values(self, key: str, rows: Rows) -> Iterator[bytes]:
        """The bytes of one tensor or some of its rows."""
        first, last = self._header[key]["data_offsets"]
        if rows is not None:
            row = (last - first) // self.shapes[key][1][0]
            first, last = first + rows[0] * row, first + rows[1] * row
        with self.file.open("rb") as stream:
            stream.seek(self._start + first)
            for position in range(first, last, _CHUNK):
                chunk = stream.read(min(_CHUNK, last - position))
                if not chunk:
                    raise _damaged(self.file, EOFError("it became shorter"))
                yield chunk

    def tensor(self, key: str, rows: Rows) -> torch.Tensor:
        """One tensor or some of its rows."""
        import safetensors

        with safetensors.safe_open(self.file, "pt") as handle:
            tensor: torch.Tensor = handle.get_tensor(key)
        return (tensor if rows is None else tensor[rows[0] : rows[1]]).clone()


class TorchReader:
    """What ``torch.save`` wrote; see :class:`Reader`."""

    def __init__(self, file: Path) -> None:
        import torch

        self.others: dict[str, str] = {}
        self.shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._state: dict[str, torch.Tensor] = {}
        names = {dtype: name for name, dtype in _torch_dtypes().items()}
        self.wrapper, state = _unwrapped(_load(file), file.name)
        for key, value in state.items():
            if not isinstance(value, torch.Tensor):
                self.others[str(key)] = type(value).__name__
                continue
            if not isinstance(key, str) or value.layout != torch.strided or value.is_quantized:
                raise ReadingError(
                    f"{file.name} holds a tensor {key!r} of layout {value.layout}",
                    "plain dense tensors by name",
                )
            dtype = names.get(value.dtype, str(value.dtype))
            _require_known(file, key, dtype)
            self.shapes[key] = (dtype, tuple(value.shape))
            self._state[key] = value.detach()

    def values(self, key: str, rows: Rows) -> Iterator[memoryview]:
        """The bytes of one tensor or some of its rows."""
        import torch

        tensor = self._part(key, rows)
        if tensor.numel():
            yield tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data

    def tensor(self, key: str, rows: Rows) -> torch.Tensor:
        """One tensor or some of its rows."""
        return self._part(key, rows).clone().contiguous()

    def _part(self, key: str, rows: Rows) -> torch.Tensor:
        tensor = self._state[key]
        return tensor if rows is None else tensor[rows[0] : rows[1]]


def _torch_dtypes() -> dict[str, torch.dtype]:
    import torch

    return {
        "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64, "F32": torch.float32,
        "I32": torch.int32, "U32": torch.uint32, "F16": torch.float16, "BF16": torch.bfloat16,
        "I16": torch.int16, "U16": torch.uint16, "I8": torch.int8, "U8": torch.uint8,
        "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    }  # fmt: skip


def _require_known(file: Path, key: str, dtype: str) -> None:
    if dtype not in ITEM_BYTES:
        raise ReadingError(
            f"{key} in {file.name} has the type {dtype}", f"one of {', '.join(ITEM_BYTES)}"
        )


def _load(file: Path) -> object:
    """Unpickle with what torch allows in weights, mapped into memory if the format allows."""
    import torch

    with file.open("rb") as stream:
        zipped = stream.read(4) == b"PK\x03\x04"
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        name = _REFUSED.search(str(error))
        if name is None:
            # What torch says first is advice to load without protection; the cause comes last.
            cause = str(error).rpartition("WeightsUnpickler error:")[2].strip().rpartition("\n\n")
            raise _damaged(file, ValueError((cause[0] or cause[2]).rpartition("\n")[2])) from error
        raise _code(file, f"was not loaded, it would call {name[1]}") from error
    except Exception as error:
        # A damaged or hostile file may raise anything from within the unpickler.
        if "TorchScript" in str(error):
            raise _code(file, "is a TorchScript program") from error
        raise _damaged(file, error) from error


def _code(file: Path, what: str) -> ReadingError:
    return ReadingError(
        f"{file.name} {what}",
        "tensors alone, no code",
        "if you trust its origin, save its state dict as safetensors with the program that wrote "
        "it, and import that",
    )


def _damaged(file: Path, error: Exception) -> ReadingError:
    reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return ReadingError(f"{file.name} is damaged ({reason})", remedy="fetch it again")


def _unwrapped(loaded: object, name: str) -> tuple[str, Mapping[Any, Any]]:
    """The state dict inside what a file holds, and where it lay."""
    import torch

    path: list[str] = []
    while isinstance(loaded, Mapping):
        if any(isinstance(value, torch.Tensor) for value in loaded.values()):
            return ".".join(path), loaded
        inner = next((w for w in _WRAPPERS if isinstance(loaded.get(w), Mapping)), None)
        if inner is None or len(path) == len(_WRAPPERS):
            break
        path.append(inner)
        loaded = loaded[inner]
    where = f" under {'.'.join(path)}" if path else ""
    raise ReadingError(
        f"{name} holds a {type(loaded).__name__} without tensors{where}",
        f"a state dict, at the top or under {', '.join(_WRAPPERS)}",
    )
