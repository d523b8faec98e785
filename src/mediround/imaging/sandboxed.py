"""The child process of ``sandbox``: reads an order on standard input, answers on standard output.

The answer is a JSON object: empty when the decoded image is in its folder, else the refusal.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mediround.errors import ImageFileError, MediRoundError

UNPACKED = "files"
"""Folder with the members of a zip, beside the decoded values."""


def main() -> None:
    """Decode one file as the order says."""
    order = json.load(sys.stdin)
    # Decoders write to standard output at their own will; the answer must stay alone there.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    _limit(order["limits"])
    try:
        _decode(order)
        answer = {}
    except MediRoundError as error:
        answer = _told(error, order)
    except MemoryError:
        refusal = ImageFileError("the file needs too much memory", remedy="send a smaller one")
        answer = _told(refusal, order)
    os.write(answer_to, json.dumps(answer).encode())


def _told(error: MediRoundError, order: dict[str, Any]) -> dict[str, str]:
    """The refusal without the folders in which the file lies here."""
    said = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
    for folder in (order["folder"], str(Path(order["upload"]).parent)):
        said = {key: text.replace(f"{folder}/", "") for key, text in said.items()}
    return {"type": type(error).__name__, **said}


def _limit(limits: dict[str, Any]) -> None:
    """Bounds that the kernel enforces; Windows has none, there the time limit alone holds."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        resource.RLIMIT_AS: limits["memory"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["unpacked"] * 4,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in bounds.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _decode(order: dict[str, Any]) -> None:
    from mediround.imaging.archive import MAGIC, unpack
    from mediround.imaging.image import Modality
    from mediround.imaging.opening import open_image
    from mediround.imaging.stored import write_stored

    upload, folder = Path(order["upload"]), Path(order["folder"])
    modality = None if order["modality"] is None else Modality(order["modality"])
    series = order["series"]
    with upload.open("rb") as file:
        zipped = file.read(len(MAGIC)) == MAGIC
    if not zipped:
        write_stored(folder, open_image(upload, modality=modality, series=series))
        return
    # Kept: a DICOM segmentation is written with the headers of the images that it is about.
    inside = folder / UNPACKED
    inside.mkdir()
    files = unpack(upload, inside, most_bytes=order["limits"]["unpacked"])
    alone = len(files) == 1
    opened = open_image(
        files[0] if alone else inside, modality=modality, series=None if alone else series
    )
    write_stored(folder, opened)


if __name__ == "__main__":
    main()
