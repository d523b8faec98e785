"""A zip file of a DICOM series, or of one image: unpacked under limits, its names unused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from mediround.errors import ImageFileError
from mediround.imaging.dicom_series import MAX_FILES
from mediround.imaging.untrusted import decoding

MAGIC = b"PK\x03\x04"
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_DIRECTORY_BYTES = 8 * 2**20
_RATIO, _FREE_BYTES = 100, 64 * 2**20
_CHUNK = 2**20
_ENCRYPTED = 0x1


def unpack(archive: Path, folder: Path, *, most_bytes: int) -> list[Path]:
    """Write the members of ``archive`` into ``folder`` as 00000, 00001, ….

    Sizes are checked on the directory before anything is inflated, and no member yields more
    than its directory announces. DICOMDIRs, folders and what macOS adds are passed over.

    Args:
        archive: the zip file.
        folder: exists and is empty.
        most_bytes: of all members together, inflated.

    Raises:
        ImageFileError: not a zip file, damaged, encrypted, too many or too large members, a
            suspicious compression, a zip in the zip, or nothing in it.
    """
    _check_directory(archive)
    with decoding(archive.name, "zip"), zipfile.ZipFile(archive) as opened:
        members = [each for each in opened.infolist() if _wanted(each)]
        _check_members(members, archive.stat().st_size, most_bytes)
        written = []
        for number, member in enumerate(members):
            target = folder / f"{number:05}"
            with opened.open(member) as source, target.open("xb") as file:
                _copy(source, file)
            written.append(target)
    return written


def _check_directory(archive: Path) -> None:
    """Refuse on the last record alone, before the directory is read into memory."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise ImageFileError("a zip file without its directory", expected="a complete zip file")
    entries, directory = struct.unpack_from("<HI", tail, at + 10)
    if entries > MAX_FILES or directory > _DIRECTORY_BYTES:
        raise ImageFileError(
            f"a zip file with {entries:,} members in a directory of {directory:,} bytes",
            expected=f"at most {MAX_FILES:,} members",
            remedy="send one series",
        )


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    extra = path.name.startswith("._") or path.name == ".DS_Store" or "__MACOSX" in path.parts
    return not (member.is_dir() or extra or path.name.upper() == "DICOMDIR")


def _check_members(members: list[zipfile.ZipInfo], packed: int, most_bytes: int) -> None:
    if not members:
        raise ImageFileError("a zip file without files", expected="a DICOM series or one image")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise ImageFileError("an encrypted zip file", expected="one without a password")
    total = sum(member.file_size for member in members)
    if len(members) > MAX_FILES or total > most_bytes:
        raise ImageFileError(
            f"a zip file with {len(members):,} files of {total:,} bytes",
            expected=f"at most {MAX_FILES:,} files and {most_bytes:,} bytes",
            remedy="send one series",
        )
    if total > _RATIO * packed + _FREE_BYTES:
        raise ImageFileError(
            f"a zip file of {packed:,} bytes that unpacks to {total:,}",
            expected=f"at most {_RATIO} times its size",
            remedy="send the files themselves",
        )


def _copy(source: IO[bytes], file: BinaryIO) -> None:
    first = True
    while chunk := source.read(_CHUNK):
        if first and chunk.startswith(MAGIC):
            raise ImageFileError("a zip file inside a zip file", expected="image files in it")
        first = False
        file.write(chunk)
