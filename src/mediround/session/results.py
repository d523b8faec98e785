"""What a session leaves in a folder: its masks, pictures and ``session.json``.

``mask_<number>.png`` (``.nii.gz`` for a volume, in its own grid), ``overlay_<round>.png`` with
that round's answer, ``overlay.png`` with everything, and the session itself.
"""

from __future__ import annotations

from pathlib import Path

from mediround.errors import OutputError
from mediround.geometry import Box
from mediround.imaging.nifti import write_nifti
from mediround.imaging.output import ensure_folder
from mediround.imaging.overlay import Layer, Pixels, draw, write_picture
from mediround.imaging.raster import write_mask_png
from mediround.session.engine import Session, Turn
from mediround.session.notice import NOTICE

__all__ = [
    "NOTICE",
    "OVERVIEW",
    "SESSION",
    "mask_file",
    "picture",
    "prepare_folder",
    "write_results",
    "write_round",
]

SESSION, OVERVIEW = "session.json", "overlay.png"
_OWN = ("mask_[0-9]*.png", "mask_[0-9]*.nii.gz", "overlay_[0-9]*.png")


def prepare_folder(path: str | Path) -> Path:
    """The folder, created where needed; masks and pictures of an earlier session are removed.

    Only files that this module names, and only beside a ``session.json``, are removed: the masks
    of two dialogues must not be taken for those of one.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = ensure_folder(path)
    if (folder / SESSION).is_file():
        for old in [file for pattern in _OWN for file in folder.glob(pattern)]:
            try:
                old.unlink()
            except OSError as error:
                raise OutputError(f"{str(old)!r} cannot be removed ({error.strerror})") from error
    return folder


def mask_file(session: Session, number: int) -> str:
    """The name of the file with the mask of entity ``number``."""
    return f"mask_{number}.{'png' if session.source.volume is None else 'nii.gz'}"


def write_round(session: Session, number: int, folder: Path) -> None:
    """Write the masks and the picture of round ``number`` (from 1), and refresh the rest.

    Raises:
        OutputError: a file cannot be written.
    """
    turn = session.turns[number - 1]
    for entity in turn.entities:
        _write_mask(session, entity.id, folder)
    write_picture(folder / f"overlay_{number}.png", picture(session, turn))
    write_picture(folder / OVERVIEW, picture(session))
    session.save(folder / SESSION)


def write_results(session: Session, folder: Path) -> None:
    """Write everything that the session holds now, masks without a question included.

    Raises:
        OutputError: a file cannot be written.
    """
    for number in session.entities:
        _write_mask(session, number, folder)
    for number, turn in enumerate(session.turns, start=1):
        write_picture(folder / f"overlay_{number}.png", picture(session, turn))
    write_picture(folder / OVERVIEW, picture(session))
    session.save(folder / SESSION)


def picture(session: Session, turn: Turn | None = None, *, view: Box | None = None) -> Pixels:
    """The image with the session's masks, uint8 (height, width, 3).

    Args:
        session: whose entities are shown.
        turn: show what this answer drew, and before it only what its question refers to, thin;
            by default everything.
        view: whole-pixel part of the image to show.
    """
    drawn = None if turn is None else {entity.id for entity in turn.entities}
    named = {n for entity in turn.entities for n in entity.refers_to} if turn else set()
    layers = []
    for number, entity in session.entities.items():
        mask = entity.mask
        if mask is None or (drawn is not None and number not in drawn | named):
            continue
        layers.append(
            Layer(
                number,
                mask,
                name=entity.name or "",
                unsure=entity.status == "unsure",
                context=drawn is not None and number not in drawn,
            )
        )
    return draw(session.image, layers, view=view)


def _write_mask(session: Session, number: int, folder: Path) -> None:
    mask = session.entities[number].mask
    if mask is None:
        return
    source, file = session.source, folder / mask_file(session, number)
    if source.volume is None:
        write_mask_png(file, mask)
        return
    assert source.slice is not None
    assert source.plane is not None
    write_nifti(file, source.volume.place(mask, source.slice, source.plane), source.volume)
