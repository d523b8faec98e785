"""The size that a compressed frame announces itself.

Decoders allocate by the frame's own header, so a small file with an honest DICOM header and a
lying JPEG header could still ask for gigabytes.
"""

from __future__ import annotations

import struct

from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from mediround.errors import ImageFileError

_JPEG_START, _J2K_START, _JP2_BOX = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
_RLE_HEADER_BYTES = 64
# Start-of-frame markers: JPEG (without the tables DHT C4, JPG C8, DAC CC) and JPEG-LS (F7).
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}


def check_codestream(dataset: Dataset, frame: int, frames: int) -> None:
    """Refuse a compressed frame that announces another size than Rows and Columns.

    Uncompressed frames pass: their decoded size follows from the DICOM header. The segments of an
    RLE frame announce nothing; they may be twice as long as what they are to become, at most.

    Raises:
        ImageFileError: the sizes differ, or a segment is too long.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return
    data = get_frame(dataset.PixelData, frame, number_of_frames=frames)
    expected = (int(dataset.Rows), int(dataset.Columns))
    if syntax == RLELossless:
        _check_segments(data, expected[0] * expected[1])
    announced = announced_size(data)
    if announced is not None and announced != expected:
        raise ImageFileError(
            f"a compressed frame of {announced[1]} x {announced[0]} pixels",
            expected=f"{expected[1]} x {expected[0]} as the DICOM header says",
            remedy="export it again",
        )


def _check_segments(data: bytes, pixels: int) -> None:
    """Refuse RLE segments that would inflate far beyond a byte a pixel (DICOM PS3.5, annex G)."""
    if len(data) < _RLE_HEADER_BYTES:
        return  # damaged: its decoder says so
    count, *starts = struct.unpack_from("<16I", data)
    ends = [*starts[1 : min(count, len(starts))], len(data)]
    longest = max((end - start for start, end in zip(starts, ends, strict=False)), default=0)
    if longest > 2 * pixels + _RLE_HEADER_BYTES:
        raise ImageFileError(
            f"a run-length segment of {longest:,} bytes for {pixels:,} pixels",
            expected="at most two bytes a pixel",
            remedy="export it again",
        )


def announced_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 frame; None if it is none of these."""
    if data.startswith(_JP2_BOX):
        start = data.find(_J2K_START)
        data = data[start:] if start >= 0 else b""
    if data.startswith(_J2K_START):
        return _j2k_size(data)
    return _jpeg_size(data) if data.startswith(_JPEG_START) else None


def _j2k_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", data, position + 5)
            return rows, columns
        position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    return None
