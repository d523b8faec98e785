"""The size that a compressed frame announces itself.

Decoders allocate by the frame's own header, so a small file with an honest DICOM header and a
lying JPEG header could still ask for gigabytes.
"""

from __future__ import annotations

import struct

from pydicom import Dataset
from pydicom.encaps import get_frame

from mediround.errors import ImageFileError

_JPEG_START, _J2K_START, _JP2_BOX = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
# Start-of-frame markers: JPEG (without the tables DHT C4, JPG C8, DAC CC) and JPEG-LS (F7).
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}


def check_codestream(dataset: Dataset, frame: int, frames: int) -> None:
    """Refuse a compressed frame that announces another size than Rows and Columns.

    Uncompressed and RLE frames pass: their decoded size follows from the DICOM header.

    Raises:
        ImageFileError: the sizes differ.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return
    data = get_frame(dataset.PixelData, frame, number_of_frames=frames)
    announced = announced_size(data)
    expected = (int(dataset.Rows), int(dataset.Columns))
    if announced is not None and announced != expected:
        raise ImageFileError(
            f"a compressed frame of {announced[1]} x {announced[0]} pixels",
            expected=f"{expected[1]} x {expected[0]} as the DICOM header says",
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
