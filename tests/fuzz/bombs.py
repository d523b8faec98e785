"""Small files that ask for much: kind of reader, and the file."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from tests.fuzz.seeds import seeds


def bombs() -> dict[str, tuple[str, bytes]]:
    """Name -> (kind of reader, file)."""
    return {
        "PNG of 50,000 x 50,000": ("raster", _png(50_000, 50_000)),
        "mask of 50,000 x 50,000": ("mask", _png(50_000, 50_000)),
        "PNG of 2**31 x 2**31": ("raster", _png(2**31 - 1, 2**31 - 1)),
        "PNG with an inflating text": ("raster", _png_with_text()),
        "TIFF whose strips lie": ("raster", _tiff(60_000, 60_000)),
        "TIFF of strips without end": ("raster", _tiff(9_000, 8_000, strips=2**31 - 1)),
        "gzip NIfTI of 2 GiB": ("nifti", _nifti((1290, 1290, 300), 32)),
        "NIfTI of 32,767 cubed": ("nifti", _nifti((32_767, 32_767, 32_767), 16, packed=False)),
        "NIfTI that begins at 2**31": (
            "nifti",
            _nifti((9, 9, 9), 16, packed=False, offset=2.0**31),
        ),
        "gzip in gzip": ("nifti", gzip.compress(gzip.compress(bytes(200 * 2**20), 9), 9)),
        "gzip of zeros": ("nifti", gzip.compress(bytes(200 * 2**20), 9)),
        "deflated DICOM": ("dicom", _deflated()),
        "DICOM of 65,535 x 65,535": ("dicom", _dicom(Rows=65_535, Columns=65_535)),
        "DICOM of a thousand million frames": ("dicom", _dicom(NumberOfFrames=10**9)),
        "RLE that lies": ("dicom", _rle_dicom()),
        "zip in zip in zip": ("zip", _nested()),
        "zip of 100,000 members": ("zip", _crowded()),
        "zip of zeros": ("zip", _zipped({"a": bytes(300 * 2**20)})),
        "zip of overlapping members": ("zip", _overlapping()),
        "zip with an inflating NIfTI": ("zip", _zipped({"a": _nifti((1290, 1290, 300), 32)})),
        "JSON of 100,000 brackets": ("session", b"[" * 10**5),
        "JSON of 100,000 keys in each other": ("coco", b'{"a":' * 10**5),
        "JSON dialogues in each other": ("official", b'[{"task":' + b"[" * 10**5),
        "JSON number of a million digits": ("official", b"[" + b"9" * 10**6 + b"]"),
        "COCO of absurd sizes": ("coco", _coco()),
        "run-length code of absurd sizes": (
            "rle",
            json.dumps({"size": [2**31 - 1, 2**31 - 1], "counts": "o" * 5000}).encode(),
        ),
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, extra: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes(10**6)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + _chunk(b"IEND", b"")


def _png_with_text() -> bytes:
    text = b"Comment\0\0" + zlib.compress(bytes(400 * 2**20), 9)
    return _png(20, 20, _chunk(b"zTXt", text))


def _tiff(width: int, height: int, strips: int = 10) -> bytes:
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, strips),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    return head.ljust(200, b"\0") + zlib.compress(bytes(10**6))


def _nifti(
    shape: tuple[int, int, int], bits: int, *, packed: bool = True, offset: float = 352.0
) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 16 if bits == 32 else 4, bits)
    struct.pack_into("<8f", head, 76, *([1.0] * 8))
    struct.pack_into("<f", head, 108, offset)
    head[344:348] = b"n+1\0"
    if not packed:
        return bytes(head) + bytes(1000)
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, out, mtime=0) as stream:
        stream.write(head)
        for _ in range(64):
            stream.write(bytes(2**20))
    return out.getvalue()


def _dicom(**tags: Any) -> bytes:
    dataset = dcmread(str(get_testdata_file("MR_small.dcm")))
    for name, value in tags.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _deflated() -> bytes:
    dataset = dcmread(str(get_testdata_file("MR_small.dcm")))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(100 * 2**20)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _rle_dicom() -> bytes:
    """A segment of runs that would give a hundred megabytes for 64 x 64 pixels."""
    dataset = dcmread(str(get_testdata_file("MR_small.dcm")))
    dataset.file_meta.TransferSyntaxUID = RLELossless
    runs = b"\x81\x00" * 800_000
    frame = struct.pack("<16I", 2, 64, 64 + len(runs), *([0] * 13)) + runs + runs
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _nested() -> bytes:
    data = _zipped({"a": bytes(10**6)})
    for _ in range(3):
        data = _zipped({f"{n}.zip": data for n in range(8)})
    return data


def _crowded() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(100_000):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    return out.getvalue()


def _overlapping() -> bytes:
    """Many entries of the directory that all mean the same deflated bytes."""
    data = _zipped({"a": bytes(5 * 2**20)})
    start = data.rfind(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry, times = data[start:end], 1000
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, times, times, len(entry) * times)
    return data[:start] + entry * times + bytes(tail)


def _coco() -> bytes:
    content = json.loads(seeds()["coco"][0])
    size = [2**31 - 1, 2**31 - 1]
    content["images"][0] |= {"height": size[0], "width": size[1]}
    for each in content["annotations"]:
        each["segmentation"] = {"size": size, "counts": [0, 2**62]}
    return json.dumps(content).encode()
