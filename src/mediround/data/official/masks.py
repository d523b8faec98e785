"""Masks and images of official dialogues as files below one root."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from mediround.data.official.record import InexpressibleError
from mediround.dialogue import Entity, Rle
from mediround.errors import ImageFileError, OutputError
from mediround.geometry import BoolMask
from mediround.imaging import ensure_folder
from mediround.imaging.raster import read_mask, read_raster, write_mask_png
from mediround.quirks import OfficialQuirks


@dataclass(frozen=True)
class Root:
    """The folder to which the paths inside markers are relative.

    Paths that leave it are refused: a file of dialogues names only its own data.
    """

    folder: Path
    quirks: OfficialQuirks = field(default_factory=OfficialQuirks)
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    def path(self, name: str) -> Path:
        """Where the file ``name`` is.

        Raises:
            InexpressibleError: the name is absolute or leads out of the folder.
        """
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or not name:
            raise InexpressibleError("it names a file outside the data's folder")
        return self.folder / pure

    def mask(self, name: str) -> BoolMask:
        """The mask (H, W) of a file; of the quirks, ``only_255_is_mask``.

        Raises:
            ImageFileError: no such file, or no mask.
        """
        if not self.quirks.only_255_is_mask:
            return read_mask(self.path(name))
        pixels = read_raster(self.path(name)).pixels
        return np.ascontiguousarray(pixels == 255)

    def image_size(self, name: str) -> tuple[int, int]:
        """(height, width) of an image.

        Raises:
            ImageFileError: no such file, or not PNG, JPEG or TIFF.
        """
        if name not in self._sizes:
            self._sizes[name] = read_raster(self.path(name)).size
        return self._sizes[name]

    def copy(self, name: str, target: Root) -> None:
        """Copy the file ``name`` to the same place below ``target``, unless it is there already.

        Raises:
            ImageFileError: there is no such file.
            OutputError: another file of that name is there.
        """
        source, goal = self.path(name), target.path(name)
        if not source.is_file():
            raise ImageFileError(f"no file {name!r} below {str(self.folder)!r}")
        if goal.exists():
            if goal.samefile(source) or goal.read_bytes() == source.read_bytes():
                return
            raise OutputError(
                f"{str(goal)!r} is there already with other content",
                remedy="write to another folder",
            )
        ensure_folder(goal.parent)
        shutil.copyfile(source, goal)


class MaskFolder:
    """Writes masks as ``masks/<image>_r<round>.png``; equal masks of an image share a file.

    Given masks have files of their own, by which they are told apart.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._paths: dict[bytes, str] = {}
        self._taken: set[str] = set()

    def name(self, image: str, place: int, entity: Entity) -> str:
        """Path below the root for the mask of round ``place`` (from 0; -1 for a given one)."""
        owner = entity.id if place < 0 else ""
        assert entity.mask is not None  # the writer has seen to it
        code = f"{image}\n{owner}\n{entity.mask.size}\n{entity.mask.counts}".encode()
        digest = hashlib.blake2b(code, digest_size=16).digest()
        if digest not in self._paths:
            stem = PurePosixPath(image).stem
            base = f"masks/{stem}_r{place}" if place >= 0 else f"masks/{stem}_given"
            path, number = f"{base}.png", 1
            while path in self._taken:
                number += 1
                path = f"{base}.{number}.png"
            self._taken.add(path)
            self._paths[digest] = path
        return self._paths[digest]

    def write(self, path: str, mask: Rle) -> None:
        """Write a mask under its name, unless an equal file is there."""
        goal = self._root.path(path)
        if goal.exists() and np.array_equal(read_mask(goal), mask.decode()):
            return
        ensure_folder(goal.parent)
        write_mask_png(goal, mask.decode())
