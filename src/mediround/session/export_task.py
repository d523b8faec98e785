"""What ``export_apart`` has done in the sandbox."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Any

from mediround.imaging.stored import read_stored
from mediround.session.export import Case, export
from mediround.session.source import open_source
from mediround.session.store import SessionFile

# A second of imports that would otherwise be made for every single export.
for _writer in ("mediround.imaging.dicom_seg_writer", "mediround.imaging.dicom_source"):
    import_module(_writer)


def export_task(order: dict[str, Any]) -> dict[str, Any]:
    """Read the session and its image, write the files, and name them below the folder."""
    stored = SessionFile.read(Path(order["session"]))
    opened = read_stored(Path(order["image"]))
    if opened.modality is not stored.modality:
        opened = dataclasses.replace(opened, modality=stored.modality)
    image, source = open_source(opened, stored.slice, stored.plane, None)
    source = dataclasses.replace(source, path=Path(order["original"]))
    folder = Path(order["folder"])
    files = export(Case(stored, image, source), order["to"], folder, drop=order["drop"])
    return {"files": [file.relative_to(folder).as_posix() for file in files]}
