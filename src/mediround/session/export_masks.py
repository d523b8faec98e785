"""The masks of a session as files of their own: PNG, NIfTI, STL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mediround.dialogue import Entity
from mediround.errors import InputError
from mediround.geometry import BoolMask
from mediround.imaging.output import ensure_folder, replacing
from mediround.imaging.overlay import Layer, draw, write_picture
from mediround.imaging.raster import write_mask_png
from mediround.session.export_case import Case, facts_of, is_file_name, place_of
from mediround.session.notice import NOTICE

TABLE, OVERVIEW, SESSION = "masks.json", "overlay.png", "session.json"

_NIFTI, _PNG, _STL = (".nii", ".nii.gz"), (".png",), (".stl",)
_MOST_LABELS = 65_535


def export_png(case: Case, path: Path) -> list[Path]:
    """A mask a file (0 and 255) in the pixels of the image, with a picture and the session.

    Raises:
        InputError: ``path`` names one file and there are several masks.
        OutputError: a file cannot be written.
    """
    drawn = case.drawn
    if is_file_name(path, _PNG):
        if len(drawn) > 1:
            raise InputError(
                f"{len(drawn)} masks for the one file {path.name!r}",
                expected="a folder",
                remedy="leave the ending out",
            )
        target = place_of(path, _PNG, "")
        write_mask_png(target, drawn[0][1])
        return [target]
    folder = ensure_folder(path)
    files = []
    for entity, mask in drawn:
        files.append(folder / f"mask_{entity.id}.png")
        write_mask_png(files[-1], mask)
    layers = [
        Layer(entity.id, mask, name=entity.name or "", unsure=entity.status == "unsure")
        for entity, mask in drawn
    ]
    write_picture(folder / OVERVIEW, draw(case.image, layers))
    case.stored.write(folder / SESSION)
    return [*files, folder / OVERVIEW, folder / SESSION]


def export_nifti(case: Case, path: Path) -> list[Path]:
    """Masks in the grid of the source: a folder of files, or one label map with their numbers.

    Raises:
        InputError: masks overlap, which one label map cannot hold.
        OutputError: a file cannot be written.
    """
    from mediround.imaging.nifti import write_nifti

    drawn = case.drawn
    if is_file_name(path, _NIFTI):
        target = place_of(path, _NIFTI, "")
        write_nifti(target, case.placed_labels(_labels(drawn)), case.grid)
        stem = target.name[: -len(".nii.gz")] if target.name.endswith(".gz") else target.stem
        table = target.with_name(f"{stem}.json")
        _write_table(table, [facts_of(entity) | {"label": entity.id} for entity, _ in drawn])
        return [target, table]
    folder = ensure_folder(path)
    rows, files = [], []
    for entity, mask in drawn:
        files.append(folder / f"mask_{entity.id}.nii.gz")
        write_nifti(files[-1], case.placed(mask), case.grid)
        rows.append(facts_of(entity) | {"file": files[-1].name})
    _write_table(folder / TABLE, rows)
    return [*files, folder / TABLE]


def export_stl(case: Case, path: Path) -> list[Path]:
    """The surface of every mask of a volume, in millimetres (LPS); a folder, or all in one file.

    Raises:
        InputError: the image is no volume, or every mask is empty.
        OutputError: a file cannot be written.
    """
    from mediround.imaging.surface_mesh import surface_mesh, write_stl

    if case.source.volume is None:
        raise InputError(
            "a single image has no surfaces",
            expected="a volume (NIfTI or a DICOM series)",
            remedy="export png or nifti instead",
        )
    affine = case.grid.affine
    filled = [(entity, mask) for entity, mask in case.drawn if mask.any()]
    if not filled:
        raise InputError("every mask is empty", expected="at least one with voxels inside")
    meshes = {entity.id: surface_mesh(case.placed(mask), affine) for entity, mask in filled}
    if is_file_name(path, _STL):
        target = place_of(path, _STL, "")
        write_stl(target, list(meshes.values()))
        return [target]
    folder = ensure_folder(path)
    rows, files = [], []
    for entity, _ in filled:
        files.append(folder / f"mask_{entity.id}.stl")
        write_stl(files[-1], [meshes[entity.id]])
        rows.append(facts_of(entity) | {"file": files[-1].name})
    _write_table(folder / TABLE, rows)
    return [*files, folder / TABLE]


def _labels(drawn: list[tuple[Entity, BoolMask]]) -> Any:
    """One (H, W) map of entity numbers."""
    highest = max(entity.id for entity, _ in drawn)
    if highest > _MOST_LABELS:
        raise InputError(f"entity {highest}", expected=f"at most {_MOST_LABELS} in one label map")
    labels = np.zeros(drawn[0][1].shape, dtype=np.uint8 if highest < 256 else np.uint16)
    for entity, mask in drawn:
        under = sorted({int(number) for number in np.unique(labels[mask])} - {0})
        if under:
            raise InputError(
                f"[{entity.id}] overlaps {', '.join(f'[{number}]' for number in under)}",
                expected="masks apart from each other in one label map",
                remedy="name a folder, to get a file a mask",
            )
        labels[mask] = entity.id
    return labels


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    content = {"masks": rows, "notice": NOTICE}
    with replacing(path) as handle:
        handle.write(json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
