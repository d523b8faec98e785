"""Uploaded images and volumes: decoded apart, kept on disk, described without their names."""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as Transaction

from mediround.errors import InputError
from mediround.imaging import Image, Modality, Plane, Volume
from mediround.imaging.decoded_apart import UNPACKED, decode_image
from mediround.imaging.sandbox import Sandbox
from mediround.imaging.stored import read_stored
from mediround.server.database import StorageError
from mediround.server.history import NotFoundError
from mediround.server.tables import ImageRow, is_id, now

logger = logging.getLogger(__name__)

ORIGINAL = "upload"
_OPENED = 4


@dataclass(frozen=True)
class Upload:
    """An image as it is on disk; ``about`` is what :func:`describe` says."""

    id: str
    owner: str
    created: str
    sha256: str
    about: Mapping[str, Any]


class Uploads:
    """All uploads: rows in the database, values in ``folder``.

    Args:
        engine: the database.
        folder: created where needed.
        sandbox: where files are decoded.
        most: bytes of one user.
    """

    def __init__(self, engine: Engine, folder: Path, *, sandbox: Sandbox, most: int) -> None:
        self._engine, self._folder, self._sandbox, self._most = engine, folder, sandbox, most
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, Image | Volume] = OrderedDict()
        self._sweep()

    @contextmanager
    def receiving(self) -> Iterator[tuple[str, Path]]:
        """An id and the file to write an upload to; whatever is not kept is removed."""
        name = secrets.token_hex(16)
        folder = self._folder / name
        folder.mkdir()
        try:
            yield name, folder / ORIGINAL
        finally:
            if not self._known(name):
                shutil.rmtree(folder, ignore_errors=True)

    def keep(
        self, name: str, owner: str, *, modality: Modality | None, series: int | None
    ) -> Upload:
        """Decode what was received as ``name``, and keep it.

        Raises:
            ImageFileError: it cannot be decoded.
            InputError: ``series`` for a single file, or the user's space is used up.
        """
        folder = self._folder / name
        opened = decode_image(
            self._sandbox, folder / ORIGINAL, folder, modality=modality, series=series
        )
        about = describe(opened)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        self._check_space(owner, size)
        digest = _sha256(folder / ORIGINAL)
        if (folder / UNPACKED).is_dir():
            (folder / ORIGINAL).unlink()
        row = ImageRow(
            id=name,
            owner=owner,
            created=now(),
            sha256=digest,
            size=size,
            about=about,
        )
        try:
            with Transaction(self._engine, expire_on_commit=False) as transaction:
                transaction.add(row)
                transaction.commit()
        except SQLAlchemyError as error:
            raise StorageError(
                f"the upload could not be stored ({type(error).__name__})", remedy="try again"
            ) from error
        return _upload(row)

    def get(self, name: str, owner: str) -> Upload:
        """One upload.

        Raises:
            NotFoundError: there is none, or it is somebody else's.
        """
        with Transaction(self._engine) as transaction:
            row = transaction.get(ImageRow, name) if is_id(name) else None
            if row is None or row.owner != owner:
                raise NotFoundError("there is no such image")
            return _upload(row)

    def list(self, owner: str) -> list[Upload]:
        """All of ``owner``, the newest first."""
        query = select(ImageRow).where(ImageRow.owner == owner).order_by(ImageRow.created.desc())
        with Transaction(self._engine) as transaction:
            return [_upload(row) for row in transaction.scalars(query)]

    def open(self, name: str) -> Image | Volume:
        """The image or volume itself; the last few are remembered."""
        with self._lock:
            if name in self._opened:
                self._opened.move_to_end(name)
                return self._opened[name]
        opened = read_stored(self._folder / name)
        with self._lock:
            self._opened[name] = opened
            while len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
        return opened

    def folder(self, name: str) -> Path:
        """Where the decoded values of an upload are, for ``imaging.stored``."""
        return self._folder / name

    def original(self, name: str) -> Path:
        """The file as it was sent; of a zip, what was in it: one file, or a folder."""
        unpacked = self._folder / name / UNPACKED
        if not unpacked.is_dir():
            return self._folder / name / ORIGINAL
        files = sorted(unpacked.iterdir())
        return files[0] if len(files) == 1 else unpacked

    def delete(self, name: str, owner: str) -> None:
        """Remove an upload that no session uses."""
        with Transaction(self._engine) as transaction:
            row = transaction.get(ImageRow, name) if is_id(name) else None
            if row is None or row.owner != owner:
                raise NotFoundError("there is no such image")
            transaction.delete(row)
            transaction.commit()
        with self._lock:
            self._opened.pop(name, None)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _known(self, name: str) -> bool:
        with Transaction(self._engine) as transaction:
            return transaction.get(ImageRow, name) is not None

    def _check_space(self, owner: str, size: int) -> None:
        query = select(func.sum(ImageRow.size)).where(ImageRow.owner == owner)
        with Transaction(self._engine) as transaction:
            used = transaction.scalar(query) or 0
        if used + size > self._most:
            raise InputError(
                f"{used + size:,} bytes of uploads",
                expected=f"at most {self._most:,}",
                remedy="delete images that are no longer needed",
            )

    def _sweep(self) -> None:
        """Remove what a killed process had half received."""
        for folder in self._folder.iterdir():
            if folder.is_dir() and not self._known(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def describe(opened: Image | Volume) -> dict[str, Any]:
    """What the API says of an image; see ``views.ImageView``."""
    about: dict[str, Any] = {"modality": opened.modality.value, "unit": opened.unit}
    if isinstance(opened, Image):
        plane = {
            "count": 1,
            "size": opened.size,
            "spacing": opened.spacing,
            "directions": None if opened.directions is None else opened.directions._asdict(),
        }
        colour = opened.pixels.ndim == 3
        return about | {
            "kind": "image",
            "colour": colour,
            "native_plane": None,
            "planes": {"image": plane},
        }
    planes = {name: _plane(opened, name) for name in get_args(Plane)}
    return about | {
        "kind": "volume",
        "colour": False,
        "native_plane": opened.native_plane,
        "planes": {name: plane for name, plane in planes.items() if plane is not None},
    }


def _plane(volume: Volume, name: Plane) -> dict[str, Any] | None:
    count = volume.count(name)
    try:
        middle = volume.slice(count // 2, name)
    except InputError:
        return None  # thinner in this plane than an image may be
    return {
        "count": count,
        "size": middle.size,
        "spacing": middle.spacing,
        "directions": None if middle.directions is None else middle.directions._asdict(),
    }


def _upload(row: ImageRow) -> Upload:
    return Upload(row.id, row.owner, row.created, row.sha256, row.about)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
