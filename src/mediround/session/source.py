"""Where a session's image comes from: a file, an array, one slice of a volume."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediround.errors import InputError
from mediround.imaging import Image, Modality, Plane, Volume, open_image


@dataclass(frozen=True)
class Source:
    """What was opened.

    Attributes:
        path: the file or folder, None for an array.
        volume: the volume whose slice is looked at, if it is one.
        slice: its 0-based index along the axis across ``plane``.
        plane: the patient plane of the slice.
    """

    path: Path | None = None
    volume: Volume | None = None
    slice: int | None = None
    plane: Plane | None = None


def open_source(
    image: str | Path | NDArray[np.generic] | Image | Volume,
    index: int | None,
    plane: Plane | None,
    modality: Modality | str | None,
) -> tuple[Image, Source]:
    """The 2-D image to talk about, and where it comes from; see ``Model.open``."""
    kind = _modality(modality)
    path: Path | None = None
    opened: Image | Volume
    if isinstance(image, str | Path):
        path = Path(image)
        opened = open_image(path, modality=kind)
    elif isinstance(image, Image | Volume):
        opened = image
    else:
        opened = Image.from_array(image, modality=kind or Modality.UNKNOWN)
    if isinstance(opened, Image):
        if index not in (None, 0) or plane is not None:
            raise InputError(
                f"slice {index} of a single image", expected="a volume where a slice is named"
            )
        return opened, Source(path=path)
    cut = plane or opened.native_plane
    where = opened.count(cut) // 2 if index is None else index
    return opened.slice(where, cut), Source(path=path, volume=opened, slice=where, plane=cut)


def _modality(value: Modality | str | None) -> Modality | None:
    if value is None:
        return None
    try:
        return Modality(str(value).upper())
    except ValueError as error:
        raise InputError(f"modality {value!r}", expected=f"one of {', '.join(Modality)}") from error
