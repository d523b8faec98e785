from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Edges, Modality
from mediround.imaging.dicom import read_dicom
from mediround.imaging.dicom_header import read_header

SliceWriter = Callable[..., Path]

STORED = (np.arange(72, dtype=np.int16) * 3).reshape(8, 9)


def bundled(name: str) -> str:
    """A file inside the pydicom wheel."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return path


def test_ct_comes_in_hounsfield_units_with_its_geometry() -> None:
    image = read_dicom(bundled("CT_small.dcm"))
    dataset = pydicom.dcmread(bundled("CT_small.dcm"))
    assert np.array_equal(image.pixels, dataset.pixel_array.astype(int) - 1024)
    assert (image.modality, image.unit) == (Modality.CT, "HU")
    assert image.spacing == pytest.approx((0.661468, 0.661468))
    assert image.directions == Edges("R", "L", "A", "P")


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_every_lossless_transfer_syntax_gives_the_same_image(name: str) -> None:
    reference = read_dicom(bundled("MR_small.dcm"))
    image = read_dicom(bundled(name))
    assert image.content_hash == reference.content_hash
    assert (image.modality, image.unit, image.window) == (Modality.MR, None, (600.0, 1600.0))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("examples_rgb_color.dcm", (240, 320, 3)),
        ("examples_palette.dcm", (350, 800, 3)),
        ("examples_jpeg2k.dcm", (480, 640, 3)),
        ("SC_ybr_full_422_uncompressed.dcm", (100, 100, 3)),
        ("SC_rgb_jpeg_dcmtk.dcm", (100, 100, 3)),
    ],
)
def test_colour_of_any_kind_becomes_8_bit_rgb(name: str, shape: tuple[int, ...]) -> None:
    image = read_dicom(bundled(name))
    assert image.pixels.shape == shape
    assert image.pixels.dtype == np.uint8


def test_ybr_means_the_same_colours_as_rgb() -> None:
    ybr = read_dicom(bundled("SC_ybr_full_422_uncompressed.dcm")).pixels.astype(int)
    # The first rows of this test card are red.
    assert ybr[2, 50, 0] > 240
    assert ybr[2, 50, 1:].max() < 20


def test_one_frame_of_a_film_is_read_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    path = bundled("examples_ybr_color.dcm")
    with caplog.at_level(logging.INFO):
        first = read_dicom(path)
    assert "frame 1 of 30" in caplog.text
    assert first.modality is Modality.US
    assert read_dicom(path, frame=29).content_hash != first.content_hash
    with pytest.raises(InputError, match="0 to 29"):
        read_dicom(path, frame=30)


def test_monochrome1_is_inverted_within_its_bits_and_so_is_its_window(
    tmp_path: Path, write_slice: SliceWriter
) -> None:
    path = write_slice(
        tmp_path / "a.dcm",
        STORED.astype(np.uint16),
        Modality="DX",
        PhotometricInterpretation="MONOCHROME1",
        BitsStored=10,
        HighBit=9,
        RescaleSlope=None,
        RescaleIntercept=None,
        WindowCenter=[300, 5],
        WindowWidth=[100, 5],
    )
    image = read_dicom(path)
    assert np.array_equal(image.pixels, 1023 - STORED)
    assert image.pixels.dtype == np.uint16
    assert image.window == (723.0, 100.0)
    assert (image.modality, image.unit) == (Modality.XR, None)


def test_monochrome1_follows_the_rescale(tmp_path: Path, write_slice: SliceWriter) -> None:
    path = write_slice(
        tmp_path / "a.dcm",
        STORED.astype(np.uint8),
        Modality="MG",
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=2,
        RescaleIntercept=-10,
    )
    expected = 2 * (255 - STORED.astype(np.uint8).astype(int)) - 10
    assert np.array_equal(read_dicom(path).pixels, expected)


def test_hounsfield_units_keep_their_meaning_whatever_the_display(
    tmp_path: Path, write_slice: SliceWriter
) -> None:
    path = write_slice(tmp_path / "a.dcm", STORED, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_dicom(path).pixels, STORED - 1024)


def test_ct_without_rescale_has_no_unit(tmp_path: Path, write_slice: SliceWriter) -> None:
    image = read_dicom(write_slice(tmp_path / "a.dcm", STORED, RescaleIntercept=None))
    assert image.unit is None
    assert np.array_equal(image.pixels, STORED)


def test_given_modality_overrides_the_tag(tmp_path: Path, write_slice: SliceWriter) -> None:
    image = read_dicom(write_slice(tmp_path / "a.dcm", STORED), modality=Modality.MR)
    assert (image.modality, image.unit) == (Modality.MR, None)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("CR", "XR"), ("ES", "ENDOSCOPY"), ("PT", "OTHER"), ("US", "US"), (None, "UNKNOWN")],
)
def test_modalities(
    tmp_path: Path, write_slice: SliceWriter, tag: str | None, expected: str
) -> None:
    image = read_dicom(write_slice(tmp_path / "a.dcm", STORED, Modality=tag))
    assert image.modality == expected


def test_spacing_is_between_rows_then_columns_and_zero_is_unknown(
    tmp_path: Path, write_slice: SliceWriter
) -> None:
    assert read_dicom(write_slice(tmp_path / "a.dcm")).spacing == (0.5, 0.75)
    assert read_dicom(write_slice(tmp_path / "b.dcm", PixelSpacing=[0, 0])).spacing is None


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, Edges("A", "P", "S", "I")),
        ({"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]}, Edges("L", "R", "A", "P")),
        (
            {"ImageOrientationPatient": None, "PatientOrientation": ["L", "F"]},
            Edges("R", "L", "S", "I"),
        ),
        ({"ImageOrientationPatient": None, "PatientOrientation": ["L", "R"]}, None),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, None),
        ({"ImageOrientationPatient": None}, None),
    ],
)
def test_edge_letters(
    tmp_path: Path, write_slice: SliceWriter, tags: dict[str, object], expected: Edges | None
) -> None:
    path = write_slice(tmp_path / "a.dcm", **tags)
    directions = read_dicom(path).directions
    assert directions == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("image_dfl.dcm", "deflated"),
        ("DICOMDIR", "DICOMDIR"),
        ("rtstruct.dcm", "cannot be decoded"),
        ("rtplan.dcm", "without image pixels"),
        ("rtdose.dcm", "without image pixels"),
        ("liver_1frame.dcm", "without image pixels"),
        ("test-SR.dcm", "without image pixels"),
        ("MR_truncated.dcm", "cannot be decoded"),
        ("SC_rgb_small_odd.dcm", "8 to 16384"),
    ],
)
def test_objects_that_are_no_readable_image_are_refused(name: str, words: str) -> None:
    with pytest.raises(ImageFileError, match=words):
        read_dicom(bundled(name))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PixelData": None}, "without pixels"),
        ({"Rows": 0}, "without image pixels"),
        ({"Rows": 60_000, "Columns": 60_000}, "8 to 16384"),
        ({"PhotometricInterpretation": "CMYK"}, "CMYK"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "enhanced multi-frame"),
    ],
)
def test_headers_that_promise_no_image_are_refused(
    tmp_path: Path, write_slice: SliceWriter, tags: dict[str, object], words: str
) -> None:
    with pytest.raises(ImageFileError, match=words):
        read_dicom(write_slice(tmp_path / "a.dcm", **tags))


def test_a_compressed_frame_of_another_size_is_never_decoded(
    tmp_path: Path, write_slice: SliceWriter
) -> None:
    bomb = b"\xff\xd8\xff\xc0\x00\x0b\x08" + (60_000).to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00"
    path = write_slice(tmp_path / "a.dcm", STORED.astype(np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([bomb + b"\0" * 20])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path)
    with pytest.raises(ImageFileError, match="60000 x 60000"):
        read_dicom(path)


@given(position=st.integers(132, 2000), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_an_image_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.dcm"
    data = bytearray(Path(bundled("MR_small.dcm")).read_bytes())
    data[position] = byte
    path.write_bytes(data)
    with suppress(ImageFileError):
        assert read_dicom(path).pixels.ndim in (2, 3)


def test_nothing_about_the_patient_is_parsed_kept_or_reported(
    tmp_path: Path, write_slice: SliceWriter, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_slice(tmp_path / "a.dcm", STORED)
    broken = write_slice(tmp_path / "b.dcm", STORED, PixelData=b"\0\0")
    caplog.set_level(logging.DEBUG)
    assert "PatientName" in pydicom.dcmread(path)
    header = read_header(path)
    assert not [element for element in header if element.tag.group == 0x0010]
    with pytest.raises(ImageFileError) as caught:
        read_dicom(broken)
    said = repr(read_dicom(path)) + caplog.text + "".join(traceback.format_exception(caught.value))
    assert "secret" not in said.lower()
