from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Modality
from mediround.imaging.raster import read_mask, read_raster, write_mask_png

GRAY = (np.arange(120, dtype=np.uint8) * 2).reshape(10, 12)
RGB = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=2)


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    PillowImage.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    "array",
    [GRAY, GRAY.astype(np.uint16) * 257, RGB],
    ids=["8 bits", "16 bits", "RGB"],
)
def test_lossless_formats_keep_type_and_values(
    tmp_path: Path, suffix: str, array: np.ndarray
) -> None:
    image = read_raster(save(tmp_path / f"a{suffix}", array), modality=Modality.US)
    assert image.pixels.dtype == array.dtype
    assert np.array_equal(image.pixels, array)
    assert image.modality is Modality.US
    assert image.spacing is None


def test_float_tiff_keeps_type_and_values(tmp_path: Path) -> None:
    array = GRAY.astype(np.float32) / 7 - 3
    assert np.array_equal(read_raster(save(tmp_path / "a.tif", array)).pixels, array)


def test_jpeg_is_read_and_its_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    image = read_raster(save(tmp_path / "a.jpg", GRAY, quality=100, exif=exif))
    assert image.size == (10, 12)
    assert image.modality is Modality.UNKNOWN
    assert np.abs(image.pixels.astype(int) - GRAY).max() <= 3


def test_one_bit_becomes_0_and_255(tmp_path: Path) -> None:
    bits = GRAY > 100
    PillowImage.fromarray(bits).save(tmp_path / "a.png")
    with PillowImage.open(tmp_path / "a.png") as picture:
        assert picture.mode == "1"
    assert np.array_equal(read_raster(tmp_path / "a.png").pixels, bits * np.uint8(255))


def test_palette_becomes_rgb(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(GRAY)
    picture.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    picture.save(tmp_path / "a.png")
    pixels = read_raster(tmp_path / "a.png").pixels
    assert np.array_equal(pixels, np.stack([GRAY, 255 - GRAY, np.full_like(GRAY, 7)], axis=2))


def test_alpha_is_composited_onto_black(tmp_path: Path) -> None:
    alpha = np.full_like(GRAY, 255)
    alpha[:5] = 0
    pixels = read_raster(save(tmp_path / "a.png", np.dstack([RGB, alpha]))).pixels
    assert np.array_equal(pixels[5:], RGB[5:])
    assert not pixels[:5].any()


def test_equal_channels_become_gray(tmp_path: Path) -> None:
    pixels = read_raster(save(tmp_path / "a.png", np.stack([GRAY] * 3, axis=2))).pixels
    assert np.array_equal(pixels, GRAY)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        read_raster(path)


@given(position=st.integers(8, 200), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_an_image_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    path = save(tmp_path_factory.mktemp("damaged") / "a.png", GRAY)
    data = bytearray(path.read_bytes())
    data[position % len(data)] = byte
    path.write_bytes(data)
    with suppress(ImageFileError):
        assert read_raster(path).pixels.ndim in (2, 3)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (9_600, 9_600), (16_385, 100), (7, 100)]
)
def test_size_limits_are_enforced_from_the_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height) + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    with pytest.raises(ImageFileError, match="crop or resize"):
        read_raster(path)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [PillowImage.fromarray(GRAY), PillowImage.fromarray(GRAY)]
    for name in ("a.tif", "a.png"):
        pages[0].save(
            tmp_path / name,
            save_all=True,
            append_images=[PillowImage.fromarray(RGB)] if name == "a.png" else pages[1:],
        )
        with pytest.raises(ImageFileError, match="several pages"):
            read_raster(tmp_path / name)


def test_formats_off_the_list_are_refused(tmp_path: Path) -> None:
    PillowImage.fromarray(GRAY).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        read_raster(tmp_path / "a.png")


@given(hnp.arrays(np.bool_, st.tuples(st.integers(8, 20), st.integers(8, 20))))
def test_masks_round_trip(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("mask") / "m.png"
    write_mask_png(path, mask)
    assert np.array_equal(read_mask(path), mask)
    assert set(np.unique(read_raster(path).pixels)) <= {0, 255}


def test_masks_of_0_and_1_are_read(tmp_path: Path) -> None:
    assert np.array_equal(
        read_mask(save(tmp_path / "m.png", (GRAY > 9).astype(np.uint8))), GRAY > 9
    )


@pytest.mark.parametrize("array", [GRAY, RGB], ids=["labels", "colour"])
def test_files_that_are_no_mask_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ImageFileError, match="0 and one other"):
        read_mask(save(tmp_path / "m.png", array))


@pytest.mark.parametrize("mask", [GRAY, np.zeros((2, 2, 2), bool), np.zeros((0, 3), bool)])
def test_arrays_that_are_no_mask_are_refused(tmp_path: Path, mask: np.ndarray) -> None:
    with pytest.raises(InputError, match="bool mask"):
        write_mask_png(tmp_path / "m.png", mask)
