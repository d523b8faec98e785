"""Reads and rewrites foreign checkpoints; runs in a child process of its own.

    python -m mediround.weights.copying list|copy REQUEST.json ANSWER.json

Requests and answers are those of :mod:`mediround.weights.tensors`. A safetensors file is written
by position: header first, then each tensor where it belongs, while one source file is open.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediround.weights.foreign import Reader, ReadingError, Rows, open_file
from mediround.weights.tensors import ITEM_BYTES

Move = dict[str, Any]


def list_files(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to ``list``: what each file holds."""
    answer = []
    for file in request["files"]:
        reader = open_file(Path(file))
        tensors = [
            {"key": key, "dtype": dtype, "shape": shape}
            for key, (dtype, shape) in reader.shapes.items()
        ]
        answer.append({"tensors": tensors, "wrapper": reader.wrapper, "others": reader.others})
    return {"files": answer}


def copy_files(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out ``copy``: write every file of the request, each under its name when whole."""
    for file in request["files"]:
        path = Path(file["path"])
        partial = path.with_name(path.name + ".partial")
        try:
            if file["packing"] == "safetensors":
                _write_safetensors(partial, file["moves"], file["metadata"])
            else:
                _write_torch(partial, file["moves"])
            partial.replace(path)
        except OSError as error:
            raise ReadingError(
                f"{path.name} cannot be written ({error.strerror or error})",
                remedy="choose a folder with free space",
                kind="output",
            ) from error
    return {}


def _write_safetensors(path: Path, moves: list[Move], metadata: dict[str, str]) -> None:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    offsets: dict[str, int] = {}
    position = 0
    # Widest types first keeps every tensor aligned, which mapping into memory wants.
    for move in sorted(moves, key=lambda m: (-ITEM_BYTES[m["tensor"]["dtype"]], m["target"])):
        shape, dtype = _shape(move), move["tensor"]["dtype"]
        end = position + math.prod(shape) * ITEM_BYTES[dtype]
        offsets[move["target"]] = position
        entries[move["target"]] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little"))
        stream.write(header)
        for move, reader in _opened(moves):
            stream.seek(8 + len(header) + offsets[move["target"]])
            for chunk in reader.values(move["tensor"]["key"], _rows(move)):
                stream.write(chunk)
        stream.truncate(8 + len(header) + position)


def _write_torch(path: Path, moves: list[Move]) -> None:
    import torch

    # torch.save writes the whole storage behind a view: each tensor has one of its own.
    state = {m["target"]: r.tensor(m["tensor"]["key"], _rows(m)) for m, r in _opened(moves)}
    torch.save({move["target"]: state[move["target"]] for move in moves}, path)


def _shape(move: Move) -> list[int]:
    shape, rows = list(move["tensor"]["shape"]), _rows(move)
    return shape if rows is None else [rows[1] - rows[0], *shape[1:]]


def _rows(move: Move) -> Rows:
    return None if move["rows"] is None else (move["rows"][0], move["rows"][1])


def _opened(moves: list[Move]) -> Iterator[tuple[Move, Reader]]:
    """Each move with its source, one source file after the other."""
    for file in dict.fromkeys(move["tensor"]["file"] for move in moves):
        reader = open_file(Path(file))
        for move in moves:
            if move["tensor"]["file"] == file:
                yield move, reader


def main(arguments: list[str] | None = None) -> int:
    """Answer one request; the error, if any, is one JSON line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m mediround.weights.copying")
    parser.add_argument("action", choices=("list", "copy"))
    parser.add_argument("request", type=Path)
    parser.add_argument("answer", type=Path)
    options = parser.parse_args(arguments)
    # torch warns of what it meets in old files; the parent reads the last line as the error.
    warnings.simplefilter("ignore")
    request = json.loads(options.request.read_text(encoding="utf-8"))
    try:
        answer = list_files(request) if options.action == "list" else copy_files(request)
    except ReadingError as error:
        sys.stderr.write(json.dumps(error.told) + "\n")
        return 1
    options.answer.write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
