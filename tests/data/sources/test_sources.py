from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.data.sources import NnunetFolder, patient_of
from mediround.data.synthesis.volume import SynthesisSettings
from mediround.errors import CaseError, DatasetError, InputError
from mediround.imaging import Modality

LABELS = {"background": 0, "liver": 1, "Milz": 2, "Left Kidney": 5}


def describe(folder: Path, **changes: Any) -> Path:
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    described = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".png"}
    (folder / "dataset.json").write_text(json.dumps({**described, **changes}))
    return folder


def save(path: Path, array: NDArray[Any]) -> None:
    if path.suffix == ".png":
        PillowImage.fromarray(array).save(path)
    else:
        image = nibabel.Nifti1Image(array, np.eye(4))
        nibabel.save(image, path)


def add(folder: Path, case: str, image: NDArray[Any], labels: NDArray[Any], end: str) -> None:
    save(folder / "imagesTr" / f"{case}_0000{end}", image)
    save(folder / "labelsTr" / f"{case}{end}", labels)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six patients with two slices each."""
    folder = describe(tmp_path / "Dataset001_A", axes="row 0 = anterior, column 0 = patient right")
    for patient in range(1, 7):
        for number in (10, 20):
            labels = np.zeros((9, 12), dtype=np.uint8)
            labels[2:4, 3:7] = 1
            labels[5:8, patient] = 5
            image = np.full((9, 12), patient * 10, dtype=np.uint8)
            add(folder, f"ABD_{patient:03}_{number}", image, labels, ".png")
    return folder


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two patients with two frames each; the middle slice of three is labelled."""
    folder = describe(
        tmp_path / "Dataset002_B", channel_names={"0": "cine MRI"}, file_ending=".nii.gz"
    )
    for patient in (1, 2):
        for frame in (1, 12):
            image = np.arange(9 * 12 * 3, dtype=np.int16).reshape(9, 12, 3) + patient
            labels = np.zeros((9, 12, 3), dtype=np.uint8)
            labels[1:4, 2:9, 1] = 2
            add(folder, f"patient{patient:03}_frame{frame:02}", image, labels, ".nii.gz")
    return folder


def test_slices_have_image_labels_and_canonical_names(pictures: Path) -> None:
    source = NnunetFolder(pictures)
    assert source.modality is Modality.CT
    assert source.oriented
    assert source.names == {1: "liver", 2: "milz", 5: "left kidney"}
    (found,) = source.read("ABD_003_20")
    assert (found.dataset, found.patient, found.name) == ("Dataset001_A", "ABD_003", "ABD_003_20")
    assert found.image.modality is Modality.CT
    assert found.image.size == found.labels.shape == (9, 12)
    assert (found.image.pixels == 30).all()
    masks = found.masks()
    assert list(masks) == ["liver", "left kidney"]
    assert masks["liver"].dtype == np.bool_
    assert masks["liver"][2:4, 3:7].all()
    assert masks["liver"].sum() == 8
    assert masks["left kidney"].nonzero()[1].tolist() == [3, 3, 3]


def test_images_made_of_label_maps_stay_with_their_patient(volumes: Path) -> None:
    shutil.rmtree(volumes / "imagesTr")
    source = NnunetFolder(volumes, SynthesisSettings(step=1.0), repetitions=2)
    assert source.modality is Modality.MR
    assert source.oriented
    assert len(source.cases()) == 2 * 2 * 2
    assert source.patients() == ["patient001", "patient002"]
    train, validation = (list(source.slices(split)) for split in ("train", "validation"))
    for found, patient in ((train, "patient001"), (validation, "patient002")):
        assert {each.patient for each in found} == {patient}
        assert len({each.name for each in found}) == len(found) > 0
        assert all(each.synthetic and each.image.modality is Modality.MR for each in found)


def test_no_patient_is_in_both_splits(pictures: Path) -> None:
    source = NnunetFolder(pictures)
    train, validation = (list(source.slices(split)) for split in ("train", "validation"))
    assert {each.patient for each in train} == {f"ABD_{n:03}" for n in (1, 2, 3, 4)}
    assert {each.patient for each in validation} == {"ABD_005", "ABD_006"}
    assert [len(train), len(validation)] == [8, 4]
    for split, found in (("train", train), ("validation", validation)):
        assert {source.split_of(each.patient) for each in found} == {split}


def test_labelled_slices_of_volumes_are_read_as_people_look_at_them(volumes: Path) -> None:
    source = NnunetFolder(volumes)
    assert source.modality is Modality.MR
    assert not source.oriented
    assert source.patients() == ["patient001", "patient002"]
    assert source.split_of("patient001") == "train"
    (found,) = source.read("patient001_frame12")
    assert found.name == "patient001_frame12_1"
    assert found.image.size == found.labels.shape == (12, 9)
    stored = np.arange(9 * 12 * 3).reshape(9, 12, 3)[:, :, 1] + 1
    labels = np.zeros((9, 12))
    labels[1:4, 2:9] = 2
    # RAS+ voxels: a radiologist sees the patient's right and front first.
    np.testing.assert_array_equal(found.image.pixels, stored[::-1, ::-1].T)
    np.testing.assert_array_equal(found.labels, labels[::-1, ::-1].T)


def test_image_and_labels_of_a_volume_stay_together(volumes: Path) -> None:
    for found in NnunetFolder(volumes).slices("train"):
        marked = found.image.pixels[found.masks()["milz"]]
        stored = np.arange(9 * 12 * 3).reshape(9, 12, 3)[1:4, 2:9, 1] + 1
        assert sorted(marked.tolist()) == sorted(stored.ravel().tolist())


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("ABD_001_100", "ABD_001"),
        ("patient001_frame12", "patient001"),
        ("hippocampus_003", "hippocampus_003"),
        ("tr0017", "tr0017"),
        ("brats_2013_pat0001_1", "brats_2013_pat0001_1"),
    ],
)
def test_the_patient_of_a_case(case: str, patient: str) -> None:
    assert patient_of(case) == patient


@pytest.mark.parametrize("end", [".png", ".nii.gz"])
def test_labels_of_another_size_are_refused(tmp_path: Path, end: str) -> None:
    folder = describe(tmp_path / "D", file_ending=end)
    shape = (9, 12) if end == ".png" else (9, 12, 3)
    other = (9, 11, *shape[2:])
    add(folder, "case", np.ones(shape, np.uint8), np.ones(other, np.uint8), end)
    with pytest.raises(CaseError, match=r"D, case case: case\S+ has .*expected .* as case_0000"):
        list(NnunetFolder(folder).read("case"))


def test_colour_is_no_label_map(tmp_path: Path) -> None:
    folder = describe(tmp_path / "D")
    colour = np.random.default_rng(0).integers(0, 9, (9, 12, 3), dtype=np.uint8)
    add(folder, "case", np.ones((9, 12), np.uint8), colour, ".png")
    with pytest.raises(CaseError, match="case.png is a colour picture"):
        list(NnunetFolder(folder).read("case"))


def test_a_missing_image_is_an_error(pictures: Path) -> None:
    (pictures / "imagesTr" / "ABD_001_10_0000.png").unlink()
    with pytest.raises(InputError, match="ABD_001_10_0000.png"):
        list(NnunetFolder(pictures).slices("train"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        '{"labels": {"liver": 1}, "channel_names": {"0": "CT"}}',
        '{"labels": {"liver": "one"}, "channel_names": {}, "file_ending": ".png"}',
        '{"labels": {"tumour": ["x"]}, "channel_names": {}, "file_ending": ".png"}',
        '{"labels": 3, "channel_names": {}, "file_ending": ".png"}',
    ],
)
def test_a_folder_that_is_no_data_set_says_so(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset.json cannot be used .*nnU-Net v2 raw folder"):
        NnunetFolder(tmp_path)
