"""The session engine as tools of a language model (Model Context Protocol, over stdio).

Files are read below one folder alone and written below another, or not at all. What an image
holds never becomes an instruction: tools answer with numbers, names and places of masks.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mcp.server.mcpserver import Image as Picture
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from mediround import __version__
from mediround.errors import ImageFileError, InputError, MediRoundError
from mediround.imaging import Plane
from mediround.session.engine import Session
from mediround.session.model import Model
from mediround.session.notice import NOTICE

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_MOST_FILES = 500
_MOST_SESSIONS = 32
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".gz", ".dcm")


@dataclass
class Desk:
    """What the tools work on.

    Attributes:
        root: images are read below it.
        out: exports are written below it; None: there are none.
        load: returns the model, at the first image.
    """

    root: Path
    out: Path | None
    load: Callable[[], Model]
    _model: Model | None = None
    _sessions: dict[str, Session] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        if not self.root.is_dir():
            raise InputError(f"no folder {str(self.root)!r}", remedy="pass --root FOLDER")

    def list_images(self) -> list[str]:
        """Images below the root, by their path from there."""
        found: list[str] = []
        for path in sorted(self.root.rglob("*")):
            inside = path.resolve().is_relative_to(self.root)
            if inside and path.is_file() and path.suffix.lower() in _SUFFIXES:
                found.append(path.relative_to(self.root).as_posix())
            if len(found) == _MOST_FILES:
                break
        return found

    def open_image(
        self, path: str, slice_index: int | None = None, plane: str | None = None
    ) -> dict[str, Any]:
        """Open an image and start a session about it.

        Args:
            path: from the root, as list_images says: PNG, JPEG, TIFF, NIfTI, a DICOM file or
                the folder of a DICOM series.
            slice_index: which slice of a volume, from 0; the middle one by default.
            plane: axial, coronal or sagittal, for a volume.
        """
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        where = self._below(self.root, path)
        if not where.exists():
            raise ImageFileError("there is no such image", remedy="list_images says which are")
        if self._model is None:
            self._model = self.load()
        session = self._model.open(where, slice=slice_index, plane=cast("Plane | None", plane))
        name = f"s{next(self._numbers)}"
        self._sessions[name] = session
        height, width = session.image.size
        volume = session.source.volume
        return {
            "session": name,
            "modality": session.image.modality.value,
            "size": [height, width],
            "plane": session.source.plane,
            "slice": session.source.slice,
            "slices": 1 if volume is None else volume.count(session.source.plane or "axial"),
            "notice": NOTICE,
        }

    def ask(self, session: str, question: str) -> dict[str, Any]:
        """Ask for structures in words; [n] in the question refers to mask n of the session.

        Examples: "Segment the liver.", "Now the organ that stores what [1] produces."
        """
        turn = self._session(session).ask(question)
        return {"text": turn.text, "entities": [_entity(each) for each in turn.entities]}

    def entities(self, session: str) -> list[dict[str, Any]]:
        """All numbered structures of a session, with score (0 to 1), box and area."""
        return [_entity(each) for each in self._session(session).entities.values()]

    def show(self, session: str) -> Picture:
        """The image with all masks, numbered and named, as a picture."""
        from mediround.imaging.overlay import encode
        from mediround.session.results import picture

        return Picture(data=encode(picture(self._session(session)), "JPEG"), format="jpeg")

    def export(self, session: str, to: str, name: str) -> list[str]:
        """Write a session's masks: to is dicom-seg, nifti, coco, png, stl, dialogue or official.

        Args:
            session: its name.
            to: the format.
            name: a new folder for the files, one word.
        """
        assert self.out is not None
        folder = self._below(self.out.resolve(), name)
        if folder.exists():
            raise InputError("this folder exists already", remedy="choose another name")
        files = self._session(session).export(to, folder)
        return [file.relative_to(self.out.resolve()).as_posix() for file in files]

    def _session(self, name: str) -> Session:
        if name not in self._sessions:
            raise InputError("there is no such session", expected=f"one of {list(self._sessions)}")
        return self._sessions[name]

    @staticmethod
    def _below(root: Path, path: str) -> Path:
        found = (root / path).resolve() if "\0" not in path else root.parent
        if not found.is_relative_to(root):
            raise InputError("a path outside the folder", expected="a path below it")
        return found


def create_mcp(root: Path, load: Callable[[], Model], *, out: Path | None = None) -> MCPServer:
    """A server with the tools of :class:`Desk`; ``run("stdio")`` serves.

    Raises:
        InputError: ``root`` is no folder.
    """
    desk = Desk(root, out, load)
    server = MCPServer(
        "mediround",
        version=__version__,
        instructions=f"Segment structures in medical images by asking for them. {NOTICE}",
    )
    for tool in (desk.list_images, desk.open_image, desk.ask, desk.entities, desk.show):
        server.add_tool(_told(desk, tool), annotations=_READS)
    if out is not None:
        server.add_tool(_told(desk, desk.export), annotations=_WRITES)
    return server


def _told(desk: Desk, tool: Callable[..., Any]) -> Callable[..., Any]:
    """``tool``, whose refusals are told without the folders of this machine."""

    @functools.wraps(tool)
    def called(*words: Any, **named: Any) -> Any:
        try:
            return tool(*words, **named)
        except MediRoundError as error:
            raise ToolError(str(error).replace(f"{desk.root}/", "")) from None

    return called


def _entity(entity: Any) -> dict[str, Any]:
    mask = entity.mask
    return {
        "id": entity.id,
        "name": entity.name,
        "status": entity.status,
        "score": None if entity.score is None else round(entity.score, 3),
        "box": entity.box,
        "area_pixels": None if mask is None else int(mask.sum()),
        "refers_to": list(entity.refers_to),
    }
