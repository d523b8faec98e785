"""Exports of a server: they read the headers of files that strangers sent, so they are made apart.

A DICOM segmentation repeats headers of its images, and a NIfTI mask takes its place from them.
"""

from __future__ import annotations

from pathlib import Path

from mediround.imaging.sandbox import Sandbox
from mediround.session.store import SessionFile

_TASK = "mediround.session.export_task:export_task"


def export_apart(
    sandbox: Sandbox,
    session: SessionFile,
    image: Path,
    original: Path,
    to: str,
    folder: Path,
    *,
    drop: bool = False,
) -> list[Path]:
    """Write the masks of ``session`` into ``folder``; see ``mediround.session.export``.

    Args:
        sandbox: where it is done.
        session: what is exported.
        image: folder of its decoded image or volume (``imaging.stored``).
        original: the file or folder that was decoded.
        to: the format.
        folder: exists; its parent gets the session as well.
        drop: leave out rounds that the official format cannot say.

    Returns:
        The files that were written, the main one first.

    Raises:
        InputError: see ``export``.
    """
    file = folder.parent / "session.json"
    session.write(file)
    order = {
        "session": str(file),
        "image": str(image),
        "original": str(original),
        "to": to,
        "folder": str(folder),
        "drop": drop,
    }
    private = (folder, folder.parent, image, original.parent)
    return [folder / name for name in sandbox.run(_TASK, order, private=private)["files"]]
