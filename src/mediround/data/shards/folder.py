"""A data set of dialogues on disk: shards that hold images with their dialogues, and an index.

``docs/format.md`` is the definition. A shard is a tar of webdataset samples, one an image:
``<key>.png``, ``<key>.image.json`` (:class:`StoredImage`) and ``<key>.dialogues.jsonl`` (one
:class:`Record` a line).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mediround.data.shards.image import StoredImage
from mediround.dialogue import Dialogue
from mediround.errors import DatasetError
from mediround.imaging import Image

MANIFEST, INDEX, REPORT = "dataset.json", "index.jsonl", "report.json"
PNG, FACTS, DIALOGUES = "png", "image.json", "dialogues.jsonl"
MEMBERS = (PNG, FACTS, DIALOGUES)
FORMAT: Literal["mediround-dialogues"] = "mediround-dialogues"

M = TypeVar("M", bound=BaseModel)

_BLOCK = 512
_LARGEST_MEMBER = 2**30


class Record(BaseModel):
    """One dialogue and where it comes from; a line of ``<key>.dialogues.jsonl``.

    Attributes:
        id: unique in the data set: the image's key and a number.
        image: key of the image.
        dataset, patient, slice: as in :class:`StoredImage`.
        split: "train", "validation", "test" or another name without a slash.
        wording: which words were used, "train" or "heldout".
        twin: id of the dialogue that has the same words, other references and another answer.
        dialogue: the rounds, masks inline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    image: str
    dataset: str
    patient: str
    slice: str
    split: str
    wording: Literal["train", "heldout"]
    twin: str | None = None
    dialogue: Dialogue


def record_line(record: Record) -> bytes:
    """``record`` as a line of JSON; what is None is left out."""
    return record.model_dump_json(exclude_none=True).encode() + b"\n"


class ShardEntry(BaseModel):
    """A shard in the manifest; ``path`` is relative to the data set, with forward slashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(pattern=r"^[\w.-]+/[\w.-]+\.tar$")
    split: str
    sha256: str
    bytes: int
    images: int
    dialogues: int


class Manifest(BaseModel):
    """``dataset.json``: what the data set holds, and how it was made.

    Attributes:
        settings: of the build; equal settings over equal sources give equal bytes.
        sources: name -> what is known of a data set (entities, modality, licence, counts).
        splits: name -> counts of patients, images, dialogues, rounds, masks.
        shards: in the order of splits and numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["mediround-dialogues"] = FORMAT
    version: Literal[1] = 1
    settings: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, Any]]
    splits: Mapping[str, Mapping[str, int]]
    shards: tuple[ShardEntry, ...]


class IndexEntry(BaseModel):
    """A line of ``index.jsonl``: an image, and where its members begin and how long they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    split: str
    shard: str
    dataset: str
    patient: str
    slice: str
    modality: str
    entities: tuple[str, ...]
    dialogues: int
    members: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Sample:
    """An image with its dialogues; decoded when asked."""

    key: str
    split: str
    png: bytes
    facts_json: bytes
    dialogues_jsonl: bytes

    @cached_property
    def facts(self) -> StoredImage:
        """What is known of the image.

        Raises:
            DatasetError: it is not what the format defines.
        """
        return _parsed(StoredImage, self.facts_json, f"{self.key}.{FACTS}")

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The dialogues about the image.

        Raises:
            DatasetError: a line is not what the format defines.
        """
        lines = self.dialogues_jsonl.splitlines()
        name = f"{self.key}.{DIALOGUES}"
        return tuple(_parsed(Record, line, f"{name}:{n}") for n, line in enumerate(lines, 1))

    def image(self) -> Image:
        """The picture; raises `ImageFileError` or `DatasetError` where it is damaged."""
        return self.facts.image(self.png)


class DialogueFolder:
    """A built data set, read lazily: memory does not grow with its size.

    Args:
        folder: what ``mediround data build`` wrote.

    Raises:
        DatasetError: there is no manifest, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / MANIFEST).read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{str(folder)!r} holds no {MANIFEST}",
                expected="a finished data set of dialogues",
                remedy="build one with 'mediround data build SRC --out DIR --dialogues N'",
            ) from error
        self.manifest = _parsed(Manifest, text, MANIFEST)

    def samples(self, split: str | None = None) -> Iterator[Sample]:
        """Every image with its dialogues, in the order of the shards.

        Args:
            split: one split; None for all.

        Raises:
            DatasetError: there is no such split, or a shard cannot be read.
        """
        self._check_split(split)
        for shard in self.manifest.shards:
            if split in (None, shard.split):
                yield from read_shard(self.folder / shard.path, shard.split)

    def records(self, split: str | None = None) -> Iterator[Record]:
        """Every dialogue; see :meth:`samples`."""
        for sample in self.samples(split):
            yield from sample.records

    def index(self) -> Iterator[IndexEntry]:
        """The lines of the index.

        Raises:
            DatasetError: it is missing or damaged.
        """
        try:
            with (self.folder / INDEX).open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    yield _parsed(IndexEntry, line, f"{INDEX}:{number}")
        except OSError as error:
            raise DatasetError(f"{INDEX} cannot be read ({error.strerror})") from error

    def fetch(self, entry: IndexEntry) -> Sample:
        """One image with its dialogues, without reading the rest of its shard.

        Raises:
            DatasetError: the shard is missing or shorter than the index says.
        """
        parts: dict[str, bytes] = {}
        try:
            with (self.folder / entry.shard).open("rb") as shard:
                for name in MEMBERS:
                    start, length = entry.members[name]
                    shard.seek(start)
                    parts[name] = shard.read(length)
        except (OSError, KeyError) as error:
            raise DatasetError(f"{entry.key} cannot be read from {entry.shard}") from error
        if any(len(parts[name]) != entry.members[name][1] for name in MEMBERS):
            raise DatasetError(f"{entry.shard} ends before {entry.key}")
        return Sample(entry.key, entry.split, parts[PNG], parts[FACTS], parts[DIALOGUES])

    def _check_split(self, split: str | None) -> None:
        if split is not None and split not in self.manifest.splits:
            raise DatasetError(
                f"there is no split {split!r}", expected=f"one of {', '.join(self.manifest.splits)}"
            )


def read_shard(path: Path, split: str) -> Iterator[Sample]:
    """The samples of one tar, in order.

    Raises:
        DatasetError: it is not a tar, or a sample lacks a member.
    """
    waiting: dict[str, bytes] = {}
    key = ""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                stem, _, ending = Path(member.name).name.partition(".")
                held = tar.extractfile(member)
                if held is None or ending not in MEMBERS or member.size > _LARGEST_MEMBER:
                    raise DatasetError(f"{path.name} holds the member {member.name!r}")
                if waiting and stem != key:
                    raise DatasetError(f"{path.name}: {key} has only {', '.join(waiting)}")
                key = stem
                waiting[ending] = held.read()
                if len(waiting) == len(MEMBERS):
                    parts = [waiting[name] for name in MEMBERS]
                    yield Sample(key, split, *parts)
                    waiting = {}
    except (OSError, tarfile.TarError) as error:
        raise DatasetError(
            f"{path.name} cannot be read as a tar ({type(error).__name__})",
            remedy="run 'mediround data check' and build the data set again",
        ) from error
    if waiting:
        raise DatasetError(f"{path.name}: {key} has only {', '.join(waiting)}")


def tar_sample(
    key: str, parts: Sequence[bytes], start: int
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """The bytes of a sample inside a tar, and where its members will lie.

    Args:
        key: of the image.
        parts: contents in the order of ``MEMBERS``.
        start: bytes of the tar before this sample.

    Returns:
        Bytes that depend on nothing but the arguments, and name -> (offset, length).
    """
    chunks: list[bytes] = []
    places: dict[str, tuple[int, int]] = {}
    for ending, data in zip(MEMBERS, parts, strict=True):
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        places[ending] = (start + _BLOCK, len(data))
        padding = -len(data) % _BLOCK
        chunks += [info.tobuf(tarfile.USTAR_FORMAT), data, bytes(padding)]
        start += _BLOCK + len(data) + padding
    return b"".join(chunks), places


TAR_END = bytes(2 * _BLOCK)
"""Two empty blocks close a tar."""


def _parsed(model: type[M], text: bytes, name: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"{name} is not valid: {where or 'it'}: {first['msg']}") from error
