"""Decoding of files that strangers sent, in a child process with limits of time and memory.

A decoder that crashes, hangs or swells takes the child with it and nothing else. The child gets
no secrets: not this process' environment, and nothing but the one file.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from mediround import errors
from mediround.errors import ImageFileError, InputError
from mediround.imaging.image import Image, Modality
from mediround.imaging.stored import read_stored
from mediround.imaging.volume import Volume

logger = logging.getLogger(__name__)

_SOURCE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class DecodingLimits:
    """What one file may cost: wall-clock and CPU seconds, bytes of address space, of disk."""

    seconds: float = 120.0
    cpu_seconds: int = 60
    memory: int = 6 * 2**30
    unpacked: int = 2 * 2**30


def decode_apart(
    upload: Path,
    folder: Path,
    *,
    modality: Modality | None = None,
    series: int | None = None,
    limits: DecodingLimits | None = None,
) -> Image | Volume:
    """Decode ``upload`` in a child process into ``folder`` and read it from there.

    Args:
        upload: PNG, JPEG, TIFF, NIfTI, DICOM, or a zip of a DICOM series or of one of these.
            Its name is not used but in messages.
        folder: exists; gets the decoded values (``imaging.stored``).
        modality: overrides what the file says.
        series: 1-based choice where a zip holds several.
        limits: see the class.

    Raises:
        ImageFileError: refused by its reader, or the child crashed, hung or ran out of memory.
        InputError: ``series`` for a single file.
    """
    bounds = limits or DecodingLimits()
    order = {
        "upload": str(upload),
        "folder": str(folder),
        "modality": None if modality is None else modality.value,
        "series": series,
        "limits": asdict(bounds),
    }
    try:
        done = subprocess.run(
            # -P: a module in the current folder must not stand in for a real one.
            [sys.executable, "-P", "-m", "mediround.imaging.sandboxed"],
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PYTHONPATH": str(_SOURCE_ROOT), "OMP_NUM_THREADS": "1"},
            timeout=bounds.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageFileError(
            f"decoding took longer than {bounds.seconds:g} s",
            remedy="send a smaller or simpler file",
        ) from None
    answer = _answer(done.stdout)
    if answer is None:
        logger.warning("a decoder ended with status %d", done.returncode)
        raise ImageFileError(
            "the file made its decoder fail, or needs too much time or memory",
            expected="a complete, undamaged file",
            remedy="export it again, or send a smaller one",
        )
    if answer:
        raise _refusal(answer)
    return read_stored(folder)


def _answer(output: bytes) -> dict[str, str] | None:
    """What the child said: empty when all went well, None when it said nothing."""
    try:
        said = json.loads(output)
    except ValueError:
        return None
    return {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else None


def _refusal(answer: dict[str, str]) -> InputError:
    kind = getattr(errors, answer.get("type", ""), ImageFileError)
    if not (isinstance(kind, type) and issubclass(kind, InputError)):
        kind = ImageFileError
    return kind(
        answer.get("found", ""),
        expected=answer.get("expected", ""),
        remedy=answer.get("remedy", ""),
    )
