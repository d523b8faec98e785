"""Opening, resuming and exporting sessions: the steps between the routes and the engine."""

from __future__ import annotations

import dataclasses
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediround.dialogue import Dialogue, Rle
from mediround.errors import InputError, SessionFileError
from mediround.geometry import BoolMask
from mediround.imaging import Image, Modality
from mediround.imaging.decoded_apart import decode_mask
from mediround.server.engine import UnavailableError
from mediround.server.history import Stored
from mediround.server.queue import BusyError
from mediround.server.rendering import default_window
from mediround.server.requests import OpenRequest, ResumeRequest
from mediround.server.services import Services, modality_of
from mediround.session.export import Case, formats_of
from mediround.session.export_apart import export_apart
from mediround.session.source import Source, open_source
from mediround.session.store import SessionFile

SESSION_FORMAT = "session"
"""The export that can be resumed."""


def open_session(here: Services, user: str, wanted: OpenRequest) -> Stored:
    """A new session.

    Raises:
        NotFoundError: no such image.
        InputError: no such slice, plane or modality.
    """
    image, source = _open(
        here, user, wanted.image, wanted.slice, wanted.plane, modality_of(wanted.modality)
    )
    place = _place(here, wanted.image, image, source)
    dialogue = Dialogue(modality=image.modality.value)
    title = wanted.title or _title(place)
    stored = here.history.create(user, wanted.image, title, place, _model(here), dialogue)
    with suppress(BusyError, UnavailableError):  # the session is there; it warms up when asked
        here.engine.warm(stored)
    return stored


def resume_session(here: Services, user: str, wanted: ResumeRequest) -> Stored:
    """A new session that goes on where a saved one ended.

    Raises:
        NotFoundError: no such image.
        SessionFileError: not a session, or one about another image.
    """
    try:
        saved = SessionFile.model_validate({**wanted.file, "image": None})
        dialogue = saved.dialogue
        image, source = _open(here, user, wanted.image, saved.slice, saved.plane, saved.modality)
        saved.check_size(image.size)
        for entity in dialogue.entities():
            if entity.mask is not None:
                entity.mask.decode()
    except (ValidationError, ValueError) as error:
        raise SessionFileError(
            "the file is not a session", expected="what `save` or an export wrote"
        ) from error
    if image.content_hash != saved.image_sha256:
        raise SessionFileError(
            "the session is about another image", expected="the image that it was saved with"
        )
    place = _place(here, wanted.image, image, source)
    title = wanted.title or _title(place)
    return here.history.create(user, wanted.image, title, place, _model(here), dialogue)


def saved(stored: Stored) -> SessionFile:
    """A session as ``Session.save`` writes it, without a path."""
    place = stored.place
    return SessionFile(
        image=None,
        image_sha256=place["sha256"],
        slice=place["slice"],
        plane=place["plane"],
        modality=Modality(place["modality"]),
        model=stored.model,
        weights_sha256=stored.weights_sha256,
        given=stored.dialogue.given,
        rounds=stored.dialogue.rounds,
    )


def export_session(
    here: Services, stored: Stored, to: str, folder: Path, *, drop: bool = False
) -> Path:
    """Write an export into ``folder``; several files become one zip.

    ``drop`` leaves out rounds that the official format cannot say.

    Raises:
        InputError: a format that this session does not allow.
    """
    name = f"mediround-{stored.id[:8]}"
    if to == SESSION_FORMAT:
        path = folder / f"{name}.mediround"
        saved(stored).write(path)
        return path
    if to not in stored.place["exports"]:
        allowed = ", ".join(stored.place["exports"])
        raise InputError("a format that this session does not allow", expected=f"one of {allowed}")
    inside = folder / "export"
    inside.mkdir()
    files = export_apart(
        here.sandbox,
        saved(stored),
        here.uploads.folder(stored.image),
        here.uploads.original(stored.image),
        to,
        inside,
        drop=drop,
    )
    if len(files) == 1:
        suffix = "".join(files[0].suffixes[-2:]) or f".{to}"
        return files[0].rename(folder / f"{name}-{to}{suffix}")
    path = folder / f"{name}-{to}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(inside.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(inside).as_posix())
    return path


def decode_code(code: Rle, stored: Stored) -> BoolMask:
    """A mask that somebody sent, (H, W) of the session's image.

    Raises:
        InputError: another size, or no valid code.
    """
    size = tuple(stored.place["size"])
    if code.size != size:
        raise InputError(f"a mask of the size {code.size}", expected=f"{size}, (height, width)")
    try:
        return code.decode()
    except ValueError as error:
        raise InputError(f"a mask that cannot be decoded: {error}") from error


def decode_picture(here: Services, data: bytes, stored: Stored) -> BoolMask:
    """The same from a PNG, decoded apart: 0 is background.

    Raises:
        InputError: another size, or no PNG with one foreground value.
    """
    if not data.startswith(b"\x89PNG"):
        raise InputError("a body that is no PNG", expected="a PNG with 0 for background")
    mask = decode_mask(here.sandbox, data)
    size = tuple(stored.place["size"])
    if mask.shape != size:
        raise InputError(f"a mask of the size {mask.shape}", expected=f"{size}, (height, width)")
    return mask


def _open(
    here: Services,
    user: str,
    image: str,
    index: int | None,
    plane: Any,
    modality: Modality | None,
) -> tuple[Image, Source]:
    here.uploads.get(image, user)
    opened = here.uploads.open(image)
    if modality is not None and opened.modality is not modality:
        opened = dataclasses.replace(opened, modality=modality)
    return open_source(opened, index, plane, None)


def _place(here: Services, upload: str, image: Image, source: Source) -> dict[str, Any]:
    """What a session keeps of its image; see ``views.SessionView``."""
    centre, width = default_window(image)
    bare = SessionFile(
        image=None,
        image_sha256=image.content_hash,
        modality=image.modality,
        model="",
        weights_sha256="",
    )
    slices = 1
    if source.volume is not None and source.plane is not None:
        slices = source.volume.count(source.plane)
    return {
        "plane": source.plane,
        "slice": source.slice,
        "slices": slices,
        "size": image.size,
        "spacing": image.spacing,
        "directions": None if image.directions is None else image.directions._asdict(),
        "window": {"center": centre, "width": width},
        "modality": image.modality.value,
        "sha256": image.content_hash,
        "exports": [SESSION_FORMAT, *formats_of(_case(here, upload, bare, image, source))],
    }


def _case(here: Services, upload: str, stored: SessionFile, image: Image, source: Source) -> Case:
    return Case(stored, image, dataclasses.replace(source, path=here.uploads.original(upload)))


def _title(place: dict[str, Any]) -> str:
    # People count slices from 1.
    where = "" if place["plane"] is None else f", {place['plane']} {place['slice'] + 1}"
    return f"{place['modality']}{where}"


def _model(here: Services) -> tuple[str, str]:
    model = here.engine.model
    return ("", "") if model is None else (model.name, model.weights_sha256)
