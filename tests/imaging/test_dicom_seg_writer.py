"""DICOM SEG out and in again: the same voxels, codes, origin, and no patient in any message."""

from __future__ import annotations

import logging
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file
from tests.dicom_series import CANARIES, write_series

from mediround.errors import ImageFileError, InputError
from mediround.imaging.dicom_seg import Segmentation
from mediround.imaging.dicom_seg_writer import write_dicom_seg
from mediround.imaging.dicom_segment import Algorithm, SegmentToWrite

ALGORITHM = Algorithm("nano", "0.1.0", "ab" * 32)
SHAPE = (12, 10, 4)  # voxels: columns, rows, slices


def segment(masks: NDArray[np.bool_], number: int = 1, **fields: Any) -> SegmentToWrite:
    usual: dict[str, Any] = {
        "name": None, "description": "", "by_person": False, "identity": str(number),
    }  # fmt: skip
    return SegmentToWrite(masks=masks, number=number, **{**usual, **fields})


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    voxels = np.random.default_rng(1).integers(0, 2000, SHAPE).astype(np.int16)
    return write_series(tmp_path_factory.mktemp("series"), voxels)


def read_back(path: Path, images: list[Path]) -> NDArray[np.bool_]:
    """(segments, N, H, W) by this package's own reader."""
    opened = Segmentation(path)
    planes = []
    for image in images:
        uid = str(dcmread(image, stop_before_pixels=True).SOPInstanceUID)
        if uid in opened.image_uids():
            planes.append(np.stack([mask for _, mask in opened.masks_on(uid)]))
        else:
            planes.append(np.zeros((len(opened.numbers), SHAPE[1], SHAPE[0]), dtype=bool))
    return np.stack(planes, axis=1)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    masks=hnp.arrays(np.bool_, st.tuples(st.integers(1, 3), *map(st.just, (4, 10, 12))))
)  # fmt: skip
def test_overlapping_masks_come_back_voxel_for_voxel(
    masks: NDArray[np.bool_], series: list[Path], tmp_path: Path
) -> None:
    segments = [segment(each, number) for number, each in enumerate(masks, start=1)]
    write_dicom_seg(tmp_path / "seg.dcm", series, segments, ALGORITHM)
    assert (read_back(tmp_path / "seg.dcm", series) == masks).all()


def test_an_empty_segment_among_others_is_kept(series: list[Path], tmp_path: Path) -> None:
    masks = np.zeros((2, 4, 10, 12), dtype=bool)
    masks[0, 2, 3:5, 6:9] = True
    segments = [segment(each, number) for number, each in enumerate(masks, start=1)]
    write_dicom_seg(tmp_path / "seg.dcm", series, segments, ALGORITHM)
    assert (read_back(tmp_path / "seg.dcm", series) == masks).all()
    assert dcmread(tmp_path / "seg.dcm").NumberOfFrames == 1  # empty planes are left out


def test_what_a_segment_says_of_itself(series: list[Path], tmp_path: Path) -> None:
    mask = np.zeros((4, 10, 12), dtype=bool)
    mask[1, 2:5, 3:7] = True
    segments = [
        segment(mask, 2, name="left kidney", description="[2] question: 左肾？", identity="a"),
        segment(mask, 3, name="brain tumour", by_person=True, identity="b"),
        segment(mask, 7, identity="a"),
    ]
    write_dicom_seg(tmp_path / "seg.dcm", series, segments, ALGORITHM)
    written = dcmread(tmp_path / "seg.dcm")
    kidney, tumor, unnamed = written.SegmentSequence
    assert written.SegmentationType == "BINARY"
    assert written.SegmentsOverlap == "YES"
    assert (kidney.SegmentLabel, tumor.SegmentLabel) == ("left kidney", "brain tumour")
    assert unnamed.SegmentLabel == "structure 7"
    assert kidney.SegmentDescription == "[2] question: 左肾？"
    code = kidney.SegmentedPropertyTypeCodeSequence[0]
    side = code.SegmentedPropertyTypeModifierCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("64033007", "SCT")
    assert (side.CodeValue, side.CodeMeaning) == ("7771000", "Left")
    category = tumor.SegmentedPropertyCategoryCodeSequence[0]
    assert category.CodeValue == "49755003"
    types = [each.SegmentAlgorithmType for each in written.SegmentSequence]
    assert types == ["AUTOMATIC", "SEMIAUTOMATIC", "AUTOMATIC"]
    algorithm = kidney.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "MediRound nano"
    assert "ab" * 32 in algorithm.AlgorithmParameters
    uids = [each.TrackingUID for each in written.SegmentSequence]
    assert uids[0] == uids[2] != uids[1]  # the same identity, the same structure
    assert "research use only" in written.SeriesDescription.lower()


def test_it_belongs_to_the_patient_and_study_of_its_images(
    series: list[Path], tmp_path: Path
) -> None:
    masks = np.ones((4, 10, 12), dtype=bool)
    write_dicom_seg(tmp_path / "seg.dcm", series, [segment(masks)], ALGORITHM)
    written, image = dcmread(tmp_path / "seg.dcm"), dcmread(series[0])
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[keyword].value == image[keyword].value
    assert written.SeriesInstanceUID != image.SeriesInstanceUID
    positions = [
        list(frame.PlanePositionSequence[0].ImagePositionPatient)
        for frame in written.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(positions) == sorted(
        list(dcmread(each, stop_before_pixels=True).ImagePositionPatient) for each in series
    )


def test_no_patient_in_warnings_logs_and_errors(
    series: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = tmp_path / "broken.dcm"
    dataset = dcmread(series[0])
    del dataset.StudyInstanceUID
    dataset.save_as(broken)
    mask = np.ones((1, 10, 12), dtype=bool)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        write_dicom_seg(tmp_path / "seg.dcm", series[:1], [segment(mask)], ALGORITHM)
        with pytest.raises(ImageFileError) as refused:
            write_dicom_seg(tmp_path / "seg.dcm", [broken], [segment(mask)], ALGORITHM)
    told = [*map(str, heard), caplog.text, *capfd.readouterr(), str(refused.value)]
    assert "StudyInstanceUID" in str(refused.value)
    for canary in CANARIES:
        assert not any(canary in text for text in told)


@pytest.mark.parametrize("name", ["chrH31.dcm", "chrKoreanMulti.dcm", "chrRuss.dcm"])
def test_names_keep_their_letters(name: str, series: list[Path], tmp_path: Path) -> None:
    image = dcmread(series[0])
    foreign = dcmread(str(get_charset_files(name)[0]))
    image.SpecificCharacterSet = foreign.SpecificCharacterSet
    image.PatientName = foreign.PatientName
    image.save_as(tmp_path / "image.dcm")
    masks = np.ones((1, 10, 12), dtype=bool)
    write_dicom_seg(tmp_path / "seg.dcm", [tmp_path / "image.dcm"], [segment(masks)], ALGORITHM)
    assert str(dcmread(tmp_path / "seg.dcm").PatientName) == str(foreign.PatientName)


@pytest.mark.parametrize(
    "name",
    ["US1_J2KR.dcm", "examples_ybr_color.dcm", "MR_small.dcm", "693_J2KR.dcm"],
    ids=["ultrasound", "film", "MR", "CT without frame of reference"],
)
def test_images_of_other_kinds(name: str, tmp_path: Path) -> None:
    image = Path(str(get_testdata_file(name)))
    header = dcmread(image, stop_before_pixels=True)
    masks = np.random.default_rng(0).random((2, 1, header.Rows, header.Columns)) > 0.5
    segments = [segment(each, number) for number, each in enumerate(masks, start=1)]
    write_dicom_seg(tmp_path / "seg.dcm", [image], segments, ALGORITHM)
    written = dcmread(tmp_path / "seg.dcm")
    frames = np.asarray(written.pixel_array).reshape(2, header.Rows, header.Columns)
    assert (frames.astype(bool) == masks[:, 0]).all()
    group = written.PerFrameFunctionalGroupsSequence[0]
    source = group.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert source.ReferencedSOPClassUID == header.SOPClassUID
    assert source.get("ReferencedFrameNumber") == (1 if "examples" in name else None)


def test_wrong_input_is_refused(series: list[Path], tmp_path: Path) -> None:
    good = np.ones((4, 10, 12), dtype=bool)
    with pytest.raises(InputError, match="no masks"):
        write_dicom_seg(tmp_path / "seg.dcm", series, [], ALGORITHM)
    with pytest.raises(InputError, match="expected the shape of the images"):
        write_dicom_seg(tmp_path / "seg.dcm", series, [segment(good[:, :9])], ALGORITHM)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
def test_the_standard_is_kept(series: list[Path], tmp_path: Path) -> None:
    mask = np.zeros((4, 10, 12), dtype=bool)
    mask[1, 2:5, 3:7] = True
    segments = [
        segment(mask, 1, name="left kidney", description="[1]"),
        segment(mask, 2, by_person=True),
    ]
    write_dicom_seg(tmp_path / "seg.dcm", series, segments, ALGORITHM)
    told = subprocess.run(  # its errors are about the structure; values come from the source
        ["dciodvfy", str(tmp_path / "seg.dcm")], capture_output=True, text=True, check=False
    ).stderr
    errors = [line for line in told.splitlines() if line.startswith("Error")]
    assert [line for line in errors if "Birth" not in line] == []
