"""What a build has finished, so that it goes on after a kill.

Decoded images lie in one growing file, beside it a line for each finished case; finished shards
have a line with their checksum. A line is written after what it speaks of; what a kill cut off
is done again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mediround.data.building.images import PreparedCase
from mediround.errors import OutputError
from mediround.imaging.output import ensure_folder, replacing

FOLDER = ".build"


@dataclass(frozen=True, slots=True)
class Spooled:
    """An image that waits to be shipped: where its facts and PNG lie, and what is planned by.

    ``order`` is (source, case, number in the case).
    """

    order: tuple[int, int, int]
    key: str
    dataset: str
    patient: str
    slice: str
    modality: str
    entities: tuple[str, ...]
    raw_bytes: int
    facts: tuple[int, int]
    png: tuple[int, int]


@dataclass(frozen=True)
class Refused:
    """A case that could not be used."""

    dataset: str
    case: str
    reason: str


class Journal:
    """The working folder of one build, inside the data set's folder.

    Args:
        out: the data set's folder.
        settings: JSON values that must be the same for a build to be gone on with.

    Raises:
        OutputError: the folder cannot be written, or holds something else or another build.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.folder = out / FOLDER
        told = self.folder / "settings.json"
        text = json.dumps(settings, sort_keys=True)
        if out.is_dir() and any(out.iterdir()) and not self.folder.is_dir():
            raise OutputError(
                f"{str(out)!r} is not empty", remedy="choose a new folder, or remove this one"
            )
        ensure_folder(self.folder)
        if told.exists() and told.read_text() != text:
            raise OutputError(
                f"{str(out)!r} holds an unfinished build with other settings or sources",
                remedy="repeat the old command to go on, or remove the folder",
            )
        with replacing(told) as file:
            file.write(text.encode())
        self._images = self.folder / "images.bin"
        self._cases = self.folder / "cases.jsonl"
        self._shards = self.folder / "shards.jsonl"

    def finished_cases(self) -> set[tuple[int, int]]:
        """(source, case) of every case that needs no decoding any more."""
        return {(line["source"], line["case"]) for line in self._case_lines()}

    def write_cases(self) -> CaseWriter:
        """Takes finished cases; use it as a context manager."""
        lines = list(self._case_lines())
        kept = max((line["end"] for line in lines), default=0)
        # What a kill left half-written goes first, or offsets would be wrong.
        _rewrite(self._cases, lines)
        return CaseWriter.open(self._images, self._cases, kept)

    def images(self) -> tuple[list[Spooled], list[Refused]]:
        """All images in the order of sources and cases, and all cases that gave none."""
        images: list[Spooled] = []
        refused: list[tuple[tuple[int, int], Refused]] = []
        for line in self._case_lines():
            order = (line["source"], line["case"])
            if line["reason"] is not None:
                refused.append((order, Refused(line["dataset"], line["name"], line["reason"])))
            for number, each in enumerate(line["images"]):
                images.append(_spooled(order, number, line["dataset"], each))
        images.sort(key=lambda image: image.order)
        return images, [each for _, each in sorted(refused, key=lambda pair: pair[0])]

    def empty_cases(self) -> list[str]:
        """Cases that could be read and show no structure, as "data set/case", in order."""
        lines = sorted(self._case_lines(), key=lambda line: (line["source"], line["case"]))
        shown = (line for line in lines if line["reason"] is None and not line["images"])
        return [f"{line['dataset']}/{line['name']}" for line in shown]

    def open_images(self) -> SpoolReader:
        """Reads facts and PNGs; use it as a context manager."""
        return SpoolReader(self._images)

    def finished_shards(self) -> dict[str, dict[str, Any]]:
        """Path -> line of every shard that is there and unchanged."""
        done: dict[str, dict[str, Any]] = {}
        for line in _read_lines(self._shards):
            path = self.folder.parent / line["path"]
            if path.is_file() and path.stat().st_size == line["bytes"]:
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == line["sha256"]:
                        done[line["path"]] = line
        _rewrite(self._shards, list(done.values()))
        return done

    def add_shard(self, line: Mapping[str, Any]) -> None:
        """Note a shard that has just been written."""
        with self._shards.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def remove(self) -> None:
        """The build is finished: nothing is left to go on with."""
        shutil.rmtree(self.folder)

    def _case_lines(self) -> Iterator[dict[str, Any]]:
        size = self._images.stat().st_size if self._images.exists() else 0
        return (line for line in _read_lines(self._cases) if line["end"] <= size)


class CaseWriter:
    """Appends finished cases to the journal."""

    def __init__(self, images: Any, cases: Any, end: int) -> None:
        self._images, self._cases, self._end = images, cases, end

    @classmethod
    def open(cls, images: Path, cases: Path, end: int) -> Self:
        """Go on at byte ``end`` of ``images``."""
        images.touch()
        held = images.open("r+b")
        held.truncate(end)
        held.seek(end)
        return cls(held, cases.open("a"), end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._images.close()
        self._cases.close()

    def add(self, case: PreparedCase) -> None:
        """Keep the images of a case, then note it."""
        listed = []
        for image in case.images:
            start = self._end
            self._images.write(image.facts + image.png)
            self._end += len(image.facts) + len(image.png)
            kept = asdict(image) | {"facts": (start, len(image.facts))}
            kept |= {"png": (start + len(image.facts), len(image.png))}
            del kept["dataset"]
            listed.append(kept)
        self._images.flush()
        line = {
            "source": case.source,
            "case": case.case,
            "dataset": case.dataset,
            "name": case.name,
            "reason": case.reason,
            "end": self._end,
            "images": listed,
        }
        self._cases.write(json.dumps(line) + "\n")
        self._cases.flush()


class SpoolReader:
    """Random access to the decoded images."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, place: tuple[int, int]) -> bytes:
        """The bytes at (offset, length)."""
        self._file.seek(place[0])
        data = self._file.read(place[1])
        assert len(data) == place[1], "a journal line is written after its bytes"
        return data


def _spooled(order: tuple[int, int], number: int, dataset: str, each: dict[str, Any]) -> Spooled:
    return Spooled(
        (*order, number),
        each["key"],
        sys.intern(dataset),
        sys.intern(each["patient"]),
        each["slice"],
        sys.intern(each["modality"]),
        tuple(map(sys.intern, each["entities"])),
        each["raw_bytes"],
        (each["facts"][0], each["facts"][1]),
        (each["png"][0], each["png"][1]),
    )


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; a last one without its end was cut off."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def _rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    with replacing(path) as file:
        for line in lines:
            file.write((json.dumps(line) + "\n").encode())
