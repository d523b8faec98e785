from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Image, Modality, Volume, open_image

SliceWriter = Callable[..., Path]

nib: Any = nibabel
GRAY = np.arange(120, dtype=np.uint8).reshape(10, 12)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_pictures_open_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.dcm"
    PillowImage.fromarray(GRAY).save(path, format=kind)
    image = open_image(path, modality=Modality.US)
    assert isinstance(image, Image)
    assert image.size == (10, 12)
    assert image.modality is Modality.US


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_open_by_content(tmp_path: Path, suffix: str) -> None:
    nib.save(nib.Nifti1Image(np.zeros((8, 9, 10), np.int16), np.eye(4)), tmp_path / f"a{suffix}")
    volume = open_image((tmp_path / f"a{suffix}").rename(tmp_path / "a.png"))
    assert isinstance(volume, Volume)
    assert volume.voxels.shape == (8, 9, 10)


def test_dicom_files_and_folders_open(tmp_path: Path, write_slice: SliceWriter) -> None:
    for k in range(3):
        write_slice(
            tmp_path / "s" / str(k), ImagePositionPatient=[0, 0, k], SOPInstanceUID=f"1.{k}"
        )
    assert isinstance(open_image(tmp_path / "s" / "0"), Image)
    assert isinstance(open_image(str(tmp_path / "s")), Volume)


def test_dicom_with_a_tiff_preamble_is_dicom(tmp_path: Path, write_slice: SliceWriter) -> None:
    path = write_slice(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    data[:4] = b"II*\0"
    path.write_bytes(data)
    image = open_image(path)
    assert image.unit == "HU"


def test_missing_empty_and_unknown_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image at all")
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8b\x08" + b"\xff" * 60)
    (tmp_path / "folder").mkdir()
    cases = {
        "missing.png": "no file",
        "empty.png": "is empty",
        "notes.txt": "no known image type",
        "bad.nii.gz": "damaged gzip",
        "folder": "no DICOM image",
    }
    for name, words in cases.items():
        with pytest.raises(ImageFileError, match=words) as caught:
            open_image(tmp_path / name)
        assert caught.value.remedy
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def test_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageFileError, match="not a regular file"):
        open_image(tmp_path / "pipe")


def test_series_number_needs_a_folder(tmp_path: Path) -> None:
    PillowImage.fromarray(GRAY).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="series 2"):
        open_image(tmp_path / "a.png", series=2)


def test_unreadable_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageFileError, match=r"cannot be read \(Permission denied\)"):
        open_image(tmp_path / "a.png")


def test_the_package_imports_no_reader_until_one_is_needed() -> None:
    code = "import sys, mediround.imaging; print({'pydicom', 'nibabel', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
