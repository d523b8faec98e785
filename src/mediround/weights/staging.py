"""A new folder that appears whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediround.errors import OutputError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill beside ``folder``, whose name it gets when the block ends without error.

    Raises:
        OutputError: ``folder`` exists and is not empty, or its parent cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"{folder} exists already",
            expected="a new or an empty folder",
            remedy="choose another name",
        )
    staged = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        staged.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made ({error.strerror})", remedy="choose another folder"
        ) from error
    try:
        yield staged
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
