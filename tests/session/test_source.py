from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Image, Modality, Volume
from mediround.session.source import Source, open_source


def volume() -> Volume:
    voxels = np.arange(10 * 12 * 14, dtype=np.int16).reshape(10, 12, 14)
    return Volume(voxels=voxels, affine=np.diag([1.0, 1.0, 3.0, 1.0]), modality=Modality.MR)


def test_an_array_is_an_image_of_the_modality_that_is_named() -> None:
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    image, source = open_source(pixels, None, None, "ct")
    assert np.array_equal(image.pixels, pixels)
    assert image.modality is Modality.CT
    assert source == Source()
    assert open_source(pixels, None, None, None)[0].modality is Modality.UNKNOWN


def test_a_file_is_remembered_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PillowImage.fromarray(np.eye(9, dtype=np.uint8)).save(path)
    for given in (path, str(path)):
        image, source = open_source(given, None, None, Modality.US)
        assert source == Source(path=path)
        assert image.modality is Modality.US


def test_an_image_is_taken_as_it_is() -> None:
    image = Image(pixels=np.zeros((9, 9)), modality=Modality.CT, unit="HU")
    assert open_source(image, None, None, None)[0] is image


def test_a_volume_shows_its_middle_slice_in_its_own_plane() -> None:
    whole = volume()
    image, source = open_source(whole, None, None, None)
    assert (source.slice, source.plane) == (7, "axial")
    assert np.array_equal(image.pixels, whole.slice(7).pixels)
    assert source.volume is whole


def test_a_slice_and_a_plane_may_be_named() -> None:
    whole = volume()
    image, source = open_source(whole, 3, "sagittal", None)
    assert (source.slice, source.plane) == (3, "sagittal")
    assert np.array_equal(image.pixels, whole.slice(3, "sagittal").pixels)


def test_a_single_image_has_no_other_slice() -> None:
    pixels = np.zeros((9, 9))
    assert open_source(pixels, 0, None, None)[0].size == (9, 9)
    with pytest.raises(InputError, match="slice 4 of a single image"):
        open_source(pixels, 4, None, None)
    with pytest.raises(InputError, match="single image"):
        open_source(pixels, None, "axial", None)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="modality 'PET'; expected one of CT, MR"):
        open_source(np.zeros((9, 9)), None, None, "PET")
    with pytest.raises(InputError, match="axial slice 14"):
        open_source(volume(), 14, None, None)
    with pytest.raises(ImageFileError, match="nowhere.png"):
        open_source(tmp_path / "nowhere.png", None, None, None)
