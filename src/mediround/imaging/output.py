"""Writing files: a folder that can be written, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mediround.errors import OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def ensure_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, created with its parents where needed, and proven to accept a file.

    Raises:
        OutputError: a file is in the way, the folder is read-only, or the disk is full.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permission bits say little (root, network disks, read-only mounts): only trying tells.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise _refusal(folder, error) from error
    return folder


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` when the block ends without an error.

    It is written under a temporary name in the same folder, flushed to the disk, then renamed:
    a reader sees the old file or the whole new one. After an error nothing is left behind.

    Raises:
        OutputError: the folder is missing or read-only, a folder is in the way, the disk is
            full.
    """
    target = Path(path)
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # Not tempfile: its files are private, results get the mode of any other new file.
        handle = part.open("xb")
    except OSError as error:
        raise _refusal(target, error) from error
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
    except BaseException as error:
        written = part.stat().st_size if part.exists() else 0
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise _refusal(target, error, written) from error
        raise


def _refusal(path: Path, error: OSError, written: int = 0) -> OutputError:
    if error.errno in _FULL:
        return OutputError(
            f"no space left on the disk for {str(path)!r}: "
            f"{written:,} bytes written, {_free(path):,} bytes free",
            remedy="free some space or choose another disk",
        )
    if error.errno in _DENIED:
        return OutputError(
            f"{str(path)!r} cannot be written (read-only or no permission)",
            remedy="choose a folder that you may write to",
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return OutputError(
            f"a file is in the way of the folder {str(path)!r}",
            expected="a folder",
            remedy="remove the file or choose another name",
        )
    if isinstance(error, IsADirectoryError):
        return OutputError(
            f"{str(path)!r} is a folder", expected="a file name", remedy="choose another name"
        )
    if isinstance(error, FileNotFoundError):
        return OutputError(
            f"the folder {str(path.parent)!r} does not exist", remedy="create it first"
        )
    return OutputError(f"{str(path)!r} cannot be written ({error.strerror})")


def _free(path: Path) -> int:
    """Free bytes on the disk of the nearest folder that exists."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            return shutil.disk_usage(folder).free
    return 0
