"""An image or volume in a folder of this program's own: decoded once, read again at once.

``pixels.npy`` holds the values, mapped into memory and never unpickled; ``about.json`` the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround.errors import ImageFileError
from mediround.imaging.image import Edges, Image, Modality
from mediround.imaging.output import replacing
from mediround.imaging.volume import Volume

PIXELS, ABOUT = "pixels.npy", "about.json"


def write_stored(folder: Path, opened: Image | Volume) -> None:
    """Write ``opened`` into an existing folder; the inverse of :func:`read_stored`.

    Raises:
        OutputError: the folder cannot be written.
    """
    about: dict[str, Any] = {
        "modality": opened.modality.value,
        "unit": opened.unit,
        "window": opened.window,
    }
    if isinstance(opened, Volume):
        about |= {
            "kind": "volume",
            "affine": opened.affine.tolist(),
            "orientation_known": opened.orientation_known,
            "spacing_known": opened.spacing_known,
        }
        values = opened.voxels
    else:
        about |= {"kind": "image", "spacing": opened.spacing, "directions": opened.directions}
        values = opened.pixels
    with replacing(folder / PIXELS) as file:
        np.save(file, values, allow_pickle=False)
    with replacing(folder / ABOUT) as file:
        file.write(json.dumps(about).encode())


def read_stored(folder: Path) -> Image | Volume:
    """The inverse of :func:`write_stored`; the voxels of a volume stay on the disk until used.

    Raises:
        ImageFileError: the folder is gone or damaged.
    """
    try:
        about = json.loads((folder / ABOUT).read_text())
        values = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        return _opened(about, values)
    # Written by a process that had met hostile files: nothing in it is taken for granted.
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise ImageFileError(
            f"a stored image is missing or damaged ({type(error).__name__})",
            remedy="upload it again",
        ) from error


def _opened(about: Any, values: NDArray[Any]) -> Image | Volume:
    modality, unit = Modality(about["modality"]), about["unit"]
    window = None if about["window"] is None else _pair(about["window"])
    if about["kind"] == "volume":
        return Volume(
            voxels=values,
            affine=np.array(about["affine"], dtype=np.float64),
            modality=modality,
            unit=unit,
            window=window,
            orientation_known=about["orientation_known"],
            spacing_known=about["spacing_known"],
        )
    spacing, edges = about["spacing"], about["directions"]
    return Image(
        pixels=np.asarray(values),
        modality=modality,
        unit=unit,
        window=window,
        spacing=None if spacing is None else _pair(spacing),
        directions=None if edges is None else Edges(*edges),
    )


def _pair(numbers: Any) -> tuple[float, float]:
    first, second = numbers
    return float(first), float(second)
