"""The readers under test, and the task that feeds them with damaged files in a sandbox."""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import picture, seeds

from mediround.data.official.json_items import read_items
from mediround.data.official.reading import to_dialogue
from mediround.data.official.record import OfficialRecord
from mediround.data.sources.coco import CocoSource
from mediround.dialogue import Rle
from mediround.errors import InputError, MediRoundError
from mediround.imaging.decoded_apart import image_task
from mediround.imaging.raster import read_mask
from mediround.imaging.stored import ABOUT, PIXELS, read_stored
from mediround.session.store import SessionFile

Reader = Callable[[Path], object]
_SEEDS = seeds()
SLOW_SECONDS = 5.0


def _image(file: Path) -> None:
    order = {"upload": str(file), "folder": str(file.parent), "modality": None, "series": None}
    image_task({**order, "limits": {"unpacked": 2**28}})


def _session(file: Path) -> None:
    stored = SessionFile.read(file)
    for entity in stored.dialogue.entities():
        if entity.mask is not None:
            entity.mask.decode()


def _rle(file: Path) -> None:
    try:
        Rle.model_validate_json(file.read_bytes()).decode()
    except (ValidationError, ValueError) as error:  # as its callers do
        raise InputError("a mask that cannot be decoded") from error


def _coco(file: Path) -> None:
    (file.parent / "image.png").write_bytes(picture())
    for case in CocoSource(file).cases():
        for found in case.slices():
            assert all(each.mask.dtype == np.bool_ for each in found.structures)


def _official(file: Path) -> None:
    for item in read_items(file):
        to_dialogue(OfficialRecord.from_json(item), lambda _: np.eye(9, dtype=bool))


def _stored(file: Path) -> None:
    np.save(file.parent / PIXELS, np.zeros((9, 9), dtype=np.uint8))
    shutil.copy(file, file.parent / ABOUT)
    read_stored(file.parent)


READERS: dict[str, Reader] = {
    "dicom": _image,
    "nifti": _image,
    "raster": _image,
    "zip": _image,
    "mask": read_mask,
    "session": _session,
    "rle": _rle,
    "coco": _coco,
    "official": _official,
    "stored": _stored,
}


def damaged(kind: str, number: int) -> bytes:
    """Input ``number`` of a kind; the same on every machine."""
    seed = int.from_bytes(hashlib.sha256(f"{kind} {number}".encode()).digest()[:8], "big")
    chance = random.Random(seed)
    return mutated(chance.choice(_SEEDS[kind]), chance)


def seeds_task(_order: dict[str, Any]) -> None:
    """Nothing: with its module the sandbox has imported the readers."""


def one_task(order: dict[str, Any]) -> None:
    """In the sandbox: read one file."""
    warnings.simplefilter("ignore")
    READERS[order["kind"]](Path(order["file"]))


def batch_task(order: dict[str, Any]) -> dict[str, Any]:
    """In the sandbox: read inputs ``first`` to ``last`` of a kind; what became of them.

    ``untyped`` lists what was raised beside the package's own errors, ``slow`` what took longer
    than ``SLOW_SECONDS``.
    """
    warnings.simplefilter("ignore")
    kind, outcomes = order["kind"], Counter[str]()
    untyped, slow = [], []
    for number in range(order["first"], order["last"]):
        with tempfile.TemporaryDirectory(dir=order["folder"]) as place:
            file = Path(place, "upload")
            file.write_bytes(damaged(kind, number))
            began = time.perf_counter()
            try:
                READERS[kind](file)
                outcomes["read"] += 1
            except (MediRoundError, MemoryError):
                outcomes["refused"] += 1
            except Exception as error:  # noqa: BLE001 - what this test is about
                untyped.append(f"{kind} {number}: {type(error).__name__}: {error}"[:300])
            if time.perf_counter() - began > SLOW_SECONDS:
                slow.append(f"{kind} {number}")
    return {"outcomes": dict(outcomes), "untyped": untyped[:10], "slow": slow[:10]}
