"""Byte-pair models of SentencePiece, read from ``tokenizer.model`` without its library.

The file is a protobuf message (sentencepiece_model.proto): field 1 the pieces in the order of
their ids, field 2 how it was trained, field 3 how text is normalised. Only what models of the
Llama family use is accepted: byte pairs, no normalisation, bytes for what is unknown.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers

from mediround.errors import WeightsError

SPACE = "▁"
"""Stands for a space inside pieces."""

_PIECES, _TRAINER, _NORMALISER = 1, 2, 3
_BYTE_PAIRS = 2
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary: its text, score and kind (1 normal, 2 unknown, …)."""

    text: str
    score: float
    kind: int


def read_pieces(path: Path) -> list[Piece]:
    """All pieces of a model file, in the order of their ids.

    Raises:
        WeightsError: not a SentencePiece model, or one of another kind than byte pairs with
            byte fallback and without normalisation.
    """
    content = path.read_bytes() if path.stat().st_size <= _LARGEST_FILE else b""
    pieces: list[Piece] = []
    kind, normalised = 1, False
    try:
        for field, value in _fields(content):
            if field == _PIECES:
                pieces.append(_piece(_bytes(value)))
            elif field == _TRAINER:
                # The default of the format is 1, unigrams.
                kind = int(dict(_fields(_bytes(value))).get(3, 1))
            elif field == _NORMALISER:
                normalised = bool(dict(_fields(_bytes(value))).get(2, b""))
    except (IndexError, TypeError, ValueError, struct.error) as error:
        raise _refusal(path, "is damaged") from error
    kinds = {piece.kind for piece in pieces}
    if not pieces:
        raise _refusal(path, "holds no pieces")
    if kind != _BYTE_PAIRS or normalised or not kinds <= {_NORMAL, _UNKNOWN, _CONTROL, _BYTE}:
        raise _refusal(path, "is of another kind")
    if _BYTE not in kinds:
        raise _refusal(path, "has no pieces for bytes")
    return pieces


def byte_pair_tokenizer(pieces: list[Piece]) -> tokenizers.Tokenizer:
    """A tokenizer that cuts each text it is given like SentencePiece, dummy prefix included.

    Names of control pieces in a text are text like any other.
    """
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    unknown = next((piece.text for piece in pieces if piece.kind == _UNKNOWN), None)
    inner = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=_merges(pieces),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    return inner


def _merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Pairs that make a normal piece, best score first: the order in which they are merged."""
    numbers = {piece.text: n for n, piece in enumerate(pieces) if piece.kind == _NORMAL}
    found: list[tuple[float, int, int, str, str]] = []
    for piece in pieces:
        if piece.kind != _NORMAL:
            continue
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in numbers and right in numbers:
                found.append((-piece.score, numbers[left], numbers[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _piece(content: bytes) -> Piece:
    fields = dict(_fields(content))
    (score,) = struct.unpack("<f", _bytes(fields.get(2, bytes(4))))
    kind = fields.get(3, _NORMAL)
    if not isinstance(kind, int):
        raise TypeError("a kind is a number")
    return Piece(_bytes(fields[1]).decode("utf-8"), float(score), kind)


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message; raises IndexError or ValueError when cut."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        if wire == 2:
            length, place = _varint(content, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if place + length > len(content):
            raise IndexError("the message ends too early")
        yield key >> 3, content[place : place + length]
        place += length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a message is expected, not a number")
    return value


def _refusal(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path.name!r} {what}",
        expected="a SentencePiece model of byte pairs, as models of the Llama family have it",
        remedy="use the tokenizer.model of the checkpoint's base model",
    )
