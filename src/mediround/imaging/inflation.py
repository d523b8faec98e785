"""What a compressed file would become, told from its first bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

from mediround.errors import ImageFileError
from mediround.imaging.nifti import HEADER_BYTES, nifti_version

_GZIP = b"\x1f\x8b"
_RATIO, _FREE_BYTES = 100, 256 * 2**20


def check_inflation(path: Path) -> None:
    """Refuse a gzip file whose NIfTI header announces far more bytes than the file can mean.

    Images hardly shrink to a fifth. For files of strangers alone: a label map of one's own may
    well be a thousand times smaller than its voxels.

    Raises:
        ImageFileError: it announces more than 100 times its size and 256 MiB.
    """
    with path.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return
    try:
        with gzip.open(path) as stream:
            head = stream.read(HEADER_BYTES)
    except (OSError, EOFError, zlib.error):
        return  # damaged: its reader says so
    announced, packed = _announced(head), path.stat().st_size
    if announced > _RATIO * packed + _FREE_BYTES:
        raise ImageFileError(
            f"a compressed file of {packed:,} bytes that announces {announced:,} bytes of voxels",
            expected=f"at most {_RATIO} times its size",
            remedy="send it uncompressed",
        )


def _announced(head: bytes) -> int:
    """Bytes of the voxels that a NIfTI header announces; 0 if it is none."""
    version = nifti_version(head)
    if version is None:
        return 0
    little = struct.unpack_from("<i", head)[0] in (348, 540)
    order = "<" if little else ">"
    sides, bits = ("8h", 40), 72
    if version == 2:
        sides, bits = ("8q", 16), 14
    axes, *lengths = struct.unpack_from(order + sides[0], head, sides[1])
    used = [max(1, int(length)) for length in lengths[: max(0, min(int(axes), 7))]]
    width = max(8, int(struct.unpack_from(f"{order}h", head, bits)[0]))
    return int(math.prod(used)) * width // 8
