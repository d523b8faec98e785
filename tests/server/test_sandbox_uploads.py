"""Files of others: decoded apart, refused typed, without paths, names or identifiers."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.server.conftest import png

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Image, Volume
from mediround.imaging.archive import unpack
from mediround.imaging.decoded_apart import decode_image
from mediround.imaging.png import encode_png
from mediround.imaging.sandbox import DecodingLimits, Sandbox
from mediround.imaging.stored import read_stored, write_stored


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def huge_png() -> bytes:
    """A PNG that announces 50,000 x 50,000 pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def lying_size() -> bytes:
    """A zip whose directory announces fewer bytes than its member inflates to."""
    data = bytearray(zipped({"a": b"\0" * 10**6}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    return bytes(data)


BOMBS = {
    "png of 50,000 x 50,000": huge_png(),
    "zip of zeros": zipped({"a": b"\0" * (200 * 2**20)}),
    "zip in zip": zipped({"a.zip": zipped({"b": png(1)})}),
    "zip with a lie": lying_size(),
    "zip of nothing": zipped({}),
    "zip cut short": zipped({"a": png(1)})[:-30],
    "dicomdir alone": zipped({"DICOMDIR": b"\0" * 128 + b"DICM"}),
    "text": b"patient Doe^Jane",
    "png cut short": png(1)[:100],
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as found:
        yield found


def decode(
    sandbox: Sandbox, tmp_path: Path, data: bytes, series: int | None = None
) -> Image | Volume:
    upload = tmp_path / "upload"
    upload.write_bytes(data)
    return decode_image(sandbox, upload, tmp_path, series=series)


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_and_damage_are_refused(sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    with pytest.raises(ImageFileError) as refusal:
        decode(sandbox, tmp_path, BOMBS[kind])
    said = json.dumps([refusal.value.found, refusal.value.expected, refusal.value.remedy])
    assert str(tmp_path) not in said
    assert "Doe" not in said


def test_a_zip_is_checked_before_it_is_inflated(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(BOMBS["zip of zeros"])
    (tmp_path / "out").mkdir()
    began = time.process_time()
    with pytest.raises(ImageFileError, match="unpacks to"):
        unpack(tmp_path / "upload", tmp_path / "out", most_bytes=2**30)
    assert time.process_time() - began < 1
    assert list((tmp_path / "out").iterdir()) == []


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    names = ["../../escaped", "/abs", "..\\win", "C:\\x", "ok/é.png", "a" * 300, "nul\x00name"]
    (tmp_path / "upload").write_bytes(zipped(dict.fromkeys(names, b"data")))
    inside = tmp_path / "inside"
    inside.mkdir()
    files = unpack(tmp_path / "upload", inside, most_bytes=10**6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inside", "upload"]
    assert [p.name for p in files] == sorted(p.name for p in inside.iterdir())
    assert len(files) == len(names)


def test_time_runs_out(tmp_path: Path) -> None:
    with (
        Sandbox(limits=DecodingLimits(seconds=0)) as sandbox,
        pytest.raises(ImageFileError, match="longer than"),
    ):
        decode(sandbox, tmp_path, png(1))


def test_memory_runs_out(tmp_path: Path) -> None:
    with (
        Sandbox(limits=DecodingLimits(memory=250 * 2**20)) as sandbox,
        pytest.raises(ImageFileError, match=r"memory|decoded"),
    ):
        decode(sandbox, tmp_path, encode_png(np.zeros((9000, 8000), dtype=np.uint8)))


def test_one_picture_in_a_zip(sandbox: Sandbox, tmp_path: Path) -> None:
    opened = decode(sandbox, tmp_path, zipped({"scan of Jane Doe.png": png(4)}))
    assert isinstance(opened, Image)
    assert opened.size == (60, 72)


def test_a_series_is_chosen_only_in_a_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="series"):
        decode(sandbox, tmp_path, png(1), series=2)


def test_what_is_stored_is_what_was_opened(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    affine = np.diag([0.5, 0.7, 2.0, 1.0])
    volume = Volume.from_array(random.normal(size=(9, 10, 11)).astype(np.float32), affine=affine)
    image = Image.from_array(random.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    for opened in (volume, image):
        write_stored(tmp_path, opened)
        again = read_stored(tmp_path)
        assert type(again) is type(opened)
        one, other = (
            (each.voxels if isinstance(each, Volume) else each.pixels) for each in (opened, again)
        )
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
        for name in ("modality", "unit", "window"):
            assert getattr(again, name) == getattr(opened, name)
        if isinstance(again, Volume):
            assert np.array_equal(again.affine, affine)
