"""The record beside finished files: what they are, and how to tell that they still are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mediround.weights.fetch import sha256_of
from mediround.weights.registry import Entry

FILE_NAME = "manifest.json"
_FORMAT = 1


class ManifestError(Exception):
    """The manifest cannot be read, or a file is not as it records; the message says which."""


@dataclass(frozen=True)
class FileRecord:
    """One finished file: digest (lower-case hex), size in bytes, modification time in ns."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a finished folder holds and what it was made from.

    Attributes:
        name: the registry's name.
        fingerprint: ``Source.fingerprint`` of the source it was made from.
        revision: ``Entry.revision`` of the conversion that made it.
        licence: SPDX identifier.
        files: path inside the folder, with forward slashes -> record.
    """

    name: str
    fingerprint: str
    revision: int
    licence: str
    files: Mapping[str, FileRecord]

    @classmethod
    def describe(cls, entry: Entry, folder: Path) -> Manifest:
        """Record every file that is in ``folder`` now."""
        files = {relative: _record(folder / relative) for relative in list_files(folder)}
        return cls(
            name=entry.name,
            fingerprint=entry.source.fingerprint,
            revision=entry.revision,
            licence=entry.licence,
            files=MappingProxyType(files),
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``folder/manifest.json``.

        Raises:
            ManifestError: it is missing, is no JSON or lacks something.
        """
        file = folder / FILE_NAME
        try:
            content: Any = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ManifestError(f"{file} has format {content['format']}, expected {_FORMAT}")
            records = {
                str(name): FileRecord(str(r["sha256"]), int(r["size"]), int(r["mtime_ns"]))
                for name, r in content["files"].items()
            }
            return cls(
                name=str(content["name"]),
                fingerprint=str(content["fingerprint"]),
                revision=int(content["revision"]),
                licence=str(content["licence"]),
                files=MappingProxyType(records),
            )
        except FileNotFoundError as error:
            raise ManifestError(f"{file} is missing") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{file} is damaged ({error})") from error

    def write(self, folder: Path) -> None:
        """Write ``folder/manifest.json``, whole or not at all."""
        content = {
            "format": _FORMAT,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "revision": self.revision,
            "licence": self.licence,
            "files": {name: vars(record) for name, record in self.files.items()},
        }
        part = folder / f"{FILE_NAME}.{os.getpid()}.part"
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(folder / FILE_NAME)

    def made_from(self, entry: Entry) -> bool:
        """Whether the registry would make the same folder today."""
        return (self.fingerprint, self.revision) == (entry.source.fingerprint, entry.revision)

    def check_quickly(self, folder: Path) -> bool:
        """Compare sizes and times; read a file only where its time alone differs.

        Returns:
            Whether all times were as recorded. False after a copy of an intact folder: the
            content was compared then, and recording it again saves doing so each time.

        Raises:
            ManifestError: a file is missing or another one.
        """
        same_times = True
        for name, record in self.files.items():
            try:
                status = (folder / name).stat()
            except FileNotFoundError as error:
                raise ManifestError(f"{name} is missing") from error
            if status.st_size != record.size:
                raise ManifestError(f"{name} has {status.st_size} bytes, expected {record.size}")
            if status.st_mtime_ns != record.mtime_ns:
                same_times = False
                _compare_content(folder, name, record)
        return same_times

    def check_fully(self, folder: Path) -> None:
        """Read every file; also refuse files that the manifest does not know.

        Raises:
            ManifestError: a file is missing, surplus or another one.
        """
        # A surplus file matters: a loader may pick it up in place of ours.
        surplus = sorted(set(list_files(folder)) - set(self.files))
        if surplus:
            raise ManifestError(f"{surplus[0]} does not belong there")
        for name, record in self.files.items():
            if not (folder / name).is_file():
                raise ManifestError(f"{name} is missing")
            _compare_content(folder, name, record)


def list_files(folder: Path) -> list[str]:
    """Paths of all files below ``folder`` but the manifest, relative, forward slashes, sorted."""
    names = (f.relative_to(folder).as_posix() for f in folder.rglob("*") if not f.is_dir())
    return sorted(name for name in names if name != FILE_NAME)


def _record(file: Path) -> FileRecord:
    status = file.stat()
    return FileRecord(sha256_of(file), status.st_size, status.st_mtime_ns)


def _compare_content(folder: Path, name: str, record: FileRecord) -> None:
    found = sha256_of(folder / name)
    if found != record.sha256:
        raise ManifestError(f"{name} has SHA-256 {found}, expected {record.sha256}")
