"""What an export needs: a session as stored, its image, and its masks where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround import anatomy
from mediround.dialogue import Dialogue, Entity
from mediround.errors import InputError
from mediround.geometry import BoolMask
from mediround.imaging import Image, Volume, ensure_folder
from mediround.imaging.affine import unknown_affine
from mediround.session.source import Source
from mediround.session.store import SessionFile


@dataclass(frozen=True, eq=False)
class Case:
    """A session to be exported.

    Attributes:
        stored: the session as it is saved.
        image: the 2-D image that it is about.
        source: where that lies.
    """

    stored: SessionFile
    image: Image
    source: Source

    @property
    def dialogue(self) -> Dialogue:
        """What has been said."""
        return self.stored.dialogue

    @cached_property
    def drawn(self) -> list[tuple[Entity, BoolMask]]:
        """The entities that have a mask, with it: bool (H, W) in the pixels of the image.

        Raises:
            InputError: there are none.
        """
        entities = list(self.dialogue.entities())
        found = [(each, each.mask.decode()) for each in entities if each.mask is not None]
        if not found:
            raise InputError(
                "there are no masks to export",
                expected="at least one answer with a mask",
                remedy="ask for a structure first",
            )
        return found

    @cached_property
    def is_dicom(self) -> bool:
        """Whether the image was opened from DICOM files."""
        from mediround.imaging.dicom_series import is_dicom

        path = self.source.path
        if path is None:
            return False
        # A folder is opened as a series, and as nothing else.
        return path.is_dir() or (path.is_file() and is_dicom(path))

    @cached_property
    def grid(self) -> Volume:
        """The voxels in which masks are written: the volume's own, else one slice of them.

        For a single image axis I is its column and J its row; where it lies is known for DICOM
        with a position, otherwise only its spacing may be.
        """
        if self.source.volume is not None:
            return self.source.volume
        height, width = self.image.size
        voxels = np.zeros((width, height, 1), dtype=np.uint8)
        modality = self.image.modality
        affine = self._affine()
        if affine is not None:
            return Volume(voxels=voxels, affine=affine, modality=modality)
        spacing = self.image.spacing
        steps = (1.0, 1.0, 1.0) if spacing is None else (spacing[1], spacing[0], 1.0)
        return Volume(
            voxels=voxels,
            affine=unknown_affine(voxels.shape, steps),
            modality=modality,
            orientation_known=False,
            spacing_known=spacing is not None,
        )

    def placed(self, mask: BoolMask) -> BoolMask:
        """A mask of the image in the voxels of ``grid``: bool (I, J, K)."""
        return self.placed_labels(mask)

    def placed_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Any (H, W) array of the image in the voxels of ``grid``, (I, J, K), zero elsewhere."""
        source = self.source
        placed = np.zeros(self.grid.voxels.shape, dtype=labels.dtype)
        if source.volume is None:
            placed[:, :, 0] = labels.T
            return placed
        assert source.slice is not None
        assert source.plane is not None
        source.volume.take(placed, source.slice, source.plane)[...] = labels
        return placed

    def _affine(self) -> Any:
        if not self.is_dicom:
            return None
        from mediround.imaging.dicom_source import affine_of, source_files

        assert self.source.path is not None
        return affine_of(source_files(self.source.path)[0])


def question_of(dialogue: Dialogue, number: int) -> str | None:
    """The question whose answer introduced entity ``number``; None for a given mask."""
    for each in dialogue.rounds:
        if any(entity.id == number for entity in each.entities):
            return each.query
    return None


def facts_of(entity: Entity) -> dict[str, Any]:
    """What is known of an entity beside its mask, as JSON."""
    known = None if entity.name is None else anatomy.load().find(entity.name)
    code = None if known is None or known.snomed is None else known.snomed.value
    return {
        "id": entity.id,
        "name": entity.name,
        "status": entity.status,
        "score": entity.score,
        "refers_to": list(entity.refers_to),
        "snomed_ct": code,
    }


def place_of(path: Path, endings: tuple[str, ...], default: str) -> Path:
    """The file to write: ``path`` itself if it has one of the endings, else ``default`` in it.

    The folder is made where needed.

    Raises:
        OutputError: the folder cannot be written.
    """
    if is_file_name(path, endings):
        ensure_folder(path.parent)
        return path
    return ensure_folder(path) / default


def is_file_name(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether ``path`` names a file of a format, not a folder for several."""
    return path.name.lower().endswith(endings) and not path.is_dir()
