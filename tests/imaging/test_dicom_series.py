from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from mediround.errors import ImageFileError
from mediround.imaging import Edges, Image, Modality, Volume
from mediround.imaging.dicom_series import read_series

SliceWriter = Callable[..., Path]

COUNT = 4


def write_stack(
    folder: Path,
    write_slice: SliceWriter,
    *,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    shift: tuple[float, float, float] = (0, 0, 2.5),
    order: tuple[int, ...] = tuple(range(COUNT)),
    **tags: object,
) -> None:
    """Slices k = 0.. at (10, 20, 30) + k * shift, whose stored values are all 1000 + k."""
    for file, k in enumerate(order):
        position = [start + k * step for start, step in zip((10, 20, 30), shift, strict=True)]
        stored = np.full((8, 9), 1000 + k, dtype=np.int16)
        stored[0, 1] = 0
        write_slice(
            folder / f"{file}.dcm",
            stored,
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=position,
            **tags,
        )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(order=st.permutations(range(COUNT)))
def test_slices_are_sorted_by_position_whatever_their_names(
    tmp_path_factory: pytest.TempPathFactory, write_slice: SliceWriter, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("series")
    write_stack(folder, write_slice, order=tuple(order))
    volume = read_series(folder)
    assert isinstance(volume, Volume)
    assert volume.voxels[4, 4].tolist() == [-24, -23, -22, -21]
    assert volume.voxels.shape == (9, 8, COUNT)
    assert (volume.voxels[1, 0] == -1024).all()
    # LPS (10, 20, 30) is RAS (-10, -20, 30); columns are 0.75 mm apart, rows 0.5 mm.
    expected = np.array([[-0.75, 0, 0, -10], [0, -0.5, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
    assert np.allclose(volume.affine, expected)
    assert (volume.modality, volume.unit) == (Modality.CT, "HU")
    shown = volume.slice(2)
    assert shown.directions == Edges("R", "L", "A", "P")
    assert shown.spacing == (0.5, 0.75)
    assert shown.pixels[0, 1] == -1024
    assert shown.pixels[4, 4] == -22


def test_a_falling_stack_is_turned_round(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, shift=(0, 0, -2.5))
    volume = read_series(tmp_path)
    assert isinstance(volume, Volume)
    assert volume.voxels[4, 4].tolist() == [-21, -22, -23, -24]
    assert volume.affine[2].tolist() == [0, 0, 2.5, 22.5]


def test_a_sagittal_stack_is_placed(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, orientation=(0, 1, 0, 0, 0, -1), shift=(-3, 0, 0))
    volume = read_series(tmp_path)
    assert isinstance(volume, Volume)
    assert volume.native_plane == "sagittal"
    shown = volume.slice(0, "sagittal")
    assert shown.size == (8, 9)
    assert shown.directions == Edges("A", "P", "S", "I")
    assert shown.pixels[0, 1] == -1024


def test_a_tilted_gantry_gives_a_sheared_affine(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, shift=(0, 0.5, 2.5))
    volume = read_series(tmp_path)
    assert isinstance(volume, Volume)
    assert volume.affine[:3, 2].tolist() == [0, -0.5, 2.5]


def test_a_single_image_is_an_image(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, order=(0,))
    assert isinstance(read_series(tmp_path), Image)


def test_reports_and_directories_are_passed_over(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path / "sub", write_slice)
    for name in ("test-SR.dcm", "DICOMDIR"):
        source = get_testdata_file(name, download=False)
        assert isinstance(source, str)
        shutil.copy(source, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    volume = read_series(tmp_path)
    assert isinstance(volume, Volume)
    assert volume.voxels.shape[2] == COUNT


def test_several_series_are_listed_and_chosen_by_number(
    tmp_path: Path, write_slice: SliceWriter
) -> None:
    write_stack(tmp_path / "a", write_slice, SeriesInstanceUID="1.2.9", SeriesNumber=2)
    write_slice(tmp_path / "b.dcm", SeriesInstanceUID="1.2.10", SeriesNumber=1, Modality="MR")
    with pytest.raises(ImageFileError) as caught:
        read_series(tmp_path)
    assert "(1: MR, 1 images, 2: CT, 4 images)" in str(caught.value)
    assert "1.2.9" not in str(caught.value)
    assert "secret" not in str(caught.value).lower()
    assert isinstance(read_series(tmp_path, series=2), Volume)
    assert isinstance(read_series(tmp_path, series=1), Image)
    for missing in (0, 3):
        with pytest.raises(ImageFileError, match=f"series {missing}"):
            read_series(tmp_path, series=missing)


def test_a_gap_is_refused_with_its_size(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, order=(0, 1, 2, 4, 5))
    with pytest.raises(ImageFileError, match=r"5\.00 mm between slices 3 and 4.*2\.50 mm"):
        read_series(tmp_path)


def test_repeated_positions_are_refused(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice, order=(0, 1, 1, 2))
    with pytest.raises(ImageFileError, match="1 repeated slice positions"):
        read_series(tmp_path)


def test_slices_off_the_line_are_refused(tmp_path: Path, write_slice: SliceWriter) -> None:
    write_stack(tmp_path, write_slice)
    write_slice(tmp_path / "x.dcm", ImagePositionPatient=[30, 20, 40])
    with pytest.raises(ImageFileError, match="one line"):
        read_series(tmp_path)


@pytest.mark.parametrize(
    ("pixels", "tags", "words"),
    [
        (np.zeros((9, 9), np.int16), {}, "different size"),
        (None, {"PixelSpacing": [0.5, 0.5]}, "different size, spacing"),
        (None, {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "orientation"),
        (None, {"ImageOrientationPatient": None}, "orientation"),
        (None, {"ImagePositionPatient": None}, "without positions"),
        (None, {"NumberOfFrames": 2, "PixelData": bytes(288)}, "multi-frame"),
    ],
)
def test_mixed_series_are_refused(
    tmp_path: Path,
    write_slice: SliceWriter,
    pixels: np.ndarray | None,
    tags: dict[str, object],
    words: str,
) -> None:
    write_stack(tmp_path, write_slice)
    write_slice(tmp_path / "x.dcm", pixels, **{"ImagePositionPatient": [10, 20, 40], **tags})
    with pytest.raises(ImageFileError, match=words):
        read_series(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageFileError, match="no DICOM image in the folder"):
        read_series(tmp_path)


def test_links_are_not_followed(tmp_path: Path, write_slice: SliceWriter) -> None:
    outside = write_slice(tmp_path / "outside" / "a.dcm")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.dcm").symlink_to(outside)
    with pytest.raises(ImageFileError, match="no DICOM image"):
        read_series(inside)
