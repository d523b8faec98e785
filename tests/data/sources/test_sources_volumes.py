"""Sources that are volumes: nnU-Net NIfTI, label maps with a names file, DICOM SEG; detection."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from mediround.data.sources import (
    BadCase,
    CocoSource,
    DicomSegSource,
    LabelledSlice,
    LabelVolumeSource,
    NnunetSource,
    PictureMaskSource,
    SaMed2dSource,
    Source,
    SynthesisedSource,
    open_sources,
    readable,
)
from mediround.errors import DatasetError
from mediround.imaging import Edges, Modality

SHAPE = (12, 14, 9)
LPS = np.diag([-1.0, -2.0, 3.0, 1.0])
LPS[:3, 3] = (50, 60, 70)


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] = LPS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def ramp() -> NDArray[np.int16]:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def block(value: int = 1) -> NDArray[np.uint8]:
    """A block off every axis of symmetry, in slices 4 and 5."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:4, 2:8, 4:6] = value
    return labels


def everything(source: Source) -> tuple[list[LabelledSlice], list[BadCase]]:
    bad: list[BadCase] = []
    cases = [pickle.loads(pickle.dumps(case)) for case in source.cases()]
    return list(readable(cases, bad.append)), bad


def nnunet(folder: Path, **changes: Any) -> Path:
    labels = {"background": 0, "liver": 1, "spleen": 2}
    described = {"channel_names": {"0": "MRI", "1": "CT"}, "labels": labels}
    folder.mkdir(parents=True, exist_ok=True)
    described |= {"file_ending": ".nii.gz", **changes}
    (folder / "dataset.json").write_text(json.dumps(described))
    (folder / "labelsTr").mkdir(exist_ok=True)
    return folder


# ------------------------------------------------------------------------------- nnU-Net, NIfTI


def test_volumes_are_cut_in_the_planes_that_are_asked_for(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp())
    save(folder / "labelsTr" / "a.nii.gz", block())
    shown, bad = everything(NnunetSource(folder, planes=("axial", "coronal", "sagittal")))
    assert not bad
    planes = [each.plane for each in shown]
    assert planes == ["axial"] * 2 + ["coronal"] * 6 + ["sagittal"] * 3
    assert [each.name for each in shown[:3]] == ["a_4", "a_5", "a_coronal_2"]
    assert [each.oriented for each in shown] == [True] * 2 + [False] * 9
    for each in shown:
        inside = each.image.pixels[each.masks()["liver"]]
        assert set(inside.tolist()) <= set(ramp()[block() > 0].tolist())
        assert each.image.directions is not None
    # Voxels grow towards the left, posterior, superior: columns and rows stay, slices too.
    np.testing.assert_array_equal(shown[0].image.pixels, ramp()[:, :, 4].T)
    np.testing.assert_array_equal(shown[0].labels, block()[:, :, 4].T)
    assert shown[2].image.directions == Edges(left="R", right="L", top="S", bottom="I")


def test_a_channel_has_its_own_modality(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp())
    save(folder / "imagesTr" / "a_0001.nii.gz", ramp() + 5)
    save(folder / "labelsTr" / "a.nii.gz", block())
    first, second = NnunetSource(folder), NnunetSource(folder, channel=1)
    assert (first.modality, second.modality) == (Modality.MR, Modality.CT)
    (one, *_), (two, *_) = everything(first)[0], everything(second)[0]
    np.testing.assert_array_equal(one.image.pixels + 5, two.image.pixels)


def test_a_placeholder_affine_says_nothing_of_the_patient(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp(), np.eye(4))
    save(folder / "labelsTr" / "a.nii.gz", block(), np.eye(4))
    (shown, *_), bad = everything(NnunetSource(folder))
    assert not bad
    assert not shown.oriented
    assert shown.image.directions is None
    assert shown.image.spacing is None
    # RAS+ voxels as ever: the agreed way to look at a grid that says nothing.
    np.testing.assert_array_equal(shown.image.pixels, ramp()[::-1, ::-1, 4].T)


def test_bad_volumes_are_reported(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    moved = LPS.copy()
    moved[0, 3] += 30
    bad_labels: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "b_shape": (block()[:-1], LPS),
        "c_place": (block(), moved),
        "d_value": (block(3), LPS),
        "e_fraction": (block().astype(np.float32) * 0.5, LPS),
        "f_negative": (-block().astype(np.int16), LPS),
        "g_huge": (block().astype(np.float64) * 1e12, LPS),
    }
    save(folder / "labelsTr" / "a.nii.gz", block().astype(np.float32))
    for name in ("a", *bad_labels):
        save(folder / "imagesTr" / f"{name}_0000.nii.gz", ramp())
    for name, (labels, affine) in bad_labels.items():
        save(folder / "labelsTr" / f"{name}.nii.gz", labels, affine)
    save(folder / "labelsTr" / "h_image.nii.gz", block())
    shown, bad = everything(NnunetSource(folder))
    assert [each.name for each in shown] == ["a_4", "a_5"]
    reasons = [each.reason for each in bad]
    parts = (
        "b_shape.nii.gz has the shape (11, 14, 9); expected (12, 14, 9) as b_shape_0000.nii.gz",
        "c_place.nii.gz lies up to 30.0 mm from c_place_0000.nii.gz",
        "d_value.nii.gz holds the label 3; expected one of the listed values 0, 1, 2",
        "e_fraction.nii.gz holds fractions",
        "f_negative.nii.gz holds the label -1",
        "g_huge.nii.gz holds the label 1000000000000",
        "h_image_0000.nii.gz",
    )
    assert len(reasons) == len(parts)
    for reason, part in zip(reasons, parts, strict=True):
        assert part in reason


def test_planes_too_thin_for_an_image_are_passed_over(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp()[:, :, 2:7])
    save(folder / "labelsTr" / "a.nii.gz", block()[:, :, 2:7])
    shown, bad = everything(NnunetSource(folder, planes=("coronal", "axial")))
    assert ({each.plane for each in shown}, bad) == ({"axial"}, [])
    shown, (one,) = everything(NnunetSource(folder, planes=("coronal",)))
    assert not shown
    assert "coronal slices too thin for an image" in one.reason


# ------------------------------------------------------------------------------------ label maps


def test_label_maps_find_their_images(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "labels").mkdir(parents=True)
    (folder / "names.txt").write_text("1 Liver\n2 Tumour\n")
    for name in ("s1-pre", "s1-post", "s2-pre"):
        save(folder / "images" / f"{name}_0000.nii.gz", ramp())
        save(folder / "labels" / f"{name}_seg.nii.gz", block())
    save(folder / "images" / "s3-pre_0000.nii.gz", ramp())
    save(folder / "labels" / "s4-pre.nii.gz", block())
    source = LabelVolumeSource(folder, patient_pattern=r"^(s\d+)-")
    shown, bad = everything(source)
    assert sorted({(each.patient, each.name) for each in shown}) == [
        ("s1", "s1-post_seg_4"),
        ("s1", "s1-post_seg_5"),
        ("s1", "s1-pre_seg_4"),
        ("s1", "s1-pre_seg_5"),
        ("s2", "s2-pre_seg_4"),
        ("s2", "s2-pre_seg_5"),
    ]
    assert source.entities == ("liver", "tumour")
    assert [each.case for each in bad] == ["s4-pre", "s3-pre"]
    assert "nothing found as image of s4-pre.nii.gz" in bad[0].reason
    assert "s3-pre_0000.nii.gz has no label map" in bad[1].reason


def test_two_images_for_one_label_map_are_ambiguous(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    save(folder / "labels" / "a.nii.gz", block())
    (folder / "names.json").write_text('{"1": "liver"}')
    save(folder / "images" / "a_ct.nii.gz", ramp())
    save(folder / "images" / "a_mr.nii.gz", ramp())
    shown, (bad,) = everything(LabelVolumeSource(folder))
    assert not shown
    assert "a_ct.nii.gz and a_mr.nii.gz found as image of a.nii.gz" in bad.reason


def test_ct_is_recognised_by_its_values(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "labels").mkdir(parents=True)
    (folder / "names.json").write_text('{"1": "liver"}')
    save(folder / "images" / "a.nii.gz", ramp() - 1024)
    save(folder / "labels" / "a.nii.gz", block())
    (shown, *_), _ = everything(LabelVolumeSource(folder))
    assert (shown.image.modality, shown.image.unit) == (Modality.CT, "HU")


def test_label_maps_need_names(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no NIfTI label maps"):
        LabelVolumeSource(tmp_path)
    save(tmp_path / "a.nii.gz", block())
    with pytest.raises(DatasetError, match="does not say what its labels are called.*names.json"):
        LabelVolumeSource(tmp_path)


# ------------------------------------------------------------------------------------- DICOM SEG

COUNT, ROWS, COLUMNS = 4, 10, 12


def ct_series(folder: Path, patient: str = "SECRET-17") -> list[pydicom.Dataset]:
    """Axial slices 3 mm apart whose stored values are 1000 + k."""
    folder.mkdir(parents=True, exist_ok=True)
    root = f"1.2.826.0.1.3680043.8.498.{sum(patient.encode())}"
    found = []
    for k in range(COUNT):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{root}.3.{k + 1}")
        values: dict[str, object] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": f"{root}.3.{k + 1}",
            "StudyInstanceUID": f"{root}.1",
            "SeriesInstanceUID": f"{root}.2",
            "FrameOfReferenceUID": f"{root}.4",
            "PatientName": "Secret^Name",
            "PatientID": patient,
            "PatientBirthDate": "",
            "PatientSex": "",
            "AccessionNumber": "",
            "StudyID": "1",
            "StudyDate": "",
            "StudyTime": "",
            "ReferringPhysicianName": "",
            "SeriesNumber": 1,
            "InstanceNumber": k + 1,
            "Modality": "CT",
            "Rows": ROWS,
            "Columns": COLUMNS,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "PixelSpacing": [0.5, 0.75],
            "SliceThickness": 3,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [10, 20, 30 + 3 * k],
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "PixelData": np.full((ROWS, COLUMNS), 1000 + k, np.int16).tobytes(),
        }
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)
        found.append(dataset)
    return found


def seg_masks() -> NDArray[np.bool_]:
    """(COUNT, ROWS, COLUMNS, 2): a liver in slices 0 to 2, a lesion inside it in slice 1."""
    masks = np.zeros((COUNT, ROWS, COLUMNS, 2), dtype=np.bool_)
    masks[0:3, 1:6, 2:9, 0] = True
    masks[1, 2:4, 3:5, 1] = True
    return masks


def write_seg(
    path: Path, images: list[pydicom.Dataset], kind: str = "BINARY", *, overlap: bool = True
) -> Path:
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=code,
            algorithm_type="MANUAL",
        )
        for number, label, code in (
            (1, "structure A", codes.SCT.Liver),
            (2, "Lesion", codes.SCT.Lesion),
        )
    ]
    masks = seg_masks()
    if not overlap:
        masks[..., 0] &= ~masks[..., 1]
    seg = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks if kind != "FRACTIONAL" else masks * 0.7,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid="1.2.826.0.1.3680043.8.498.9.5",
        series_number=2,
        sop_instance_uid=f"1.2.826.0.1.3680043.8.498.9.{len(path.name)}",
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="0",
        device_serial_number="0",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_segments_lie_on_the_images_they_were_drawn_on(tmp_path: Path, kind: str) -> None:
    images = ct_series(tmp_path / "set" / "ct")
    write_seg(tmp_path / "set" / "seg" / "seg.dcm", images, kind)
    source = DicomSegSource(tmp_path / "set")
    shown, bad = everything(source)
    assert not bad
    assert [sorted(each.masks()) for each in shown] == [["liver"], ["lesion", "liver"], ["liver"]]
    for k, each in enumerate(shown):
        assert (each.image.pixels == 1000 + k - 1024).all()
        assert each.oriented
        assert each.plane == "axial"
        for name, mask in each.masks().items():
            np.testing.assert_array_equal(
                mask, seg_masks()[k, :, :, ["liver", "lesion"].index(name)]
            )
    assert shown[0].image.modality is Modality.CT


def test_no_identifier_reaches_a_slice(tmp_path: Path) -> None:
    images = ct_series(tmp_path / "set" / "ct")
    write_seg(tmp_path / "set" / "one.dcm", images)
    write_seg(tmp_path / "set" / "other.dcm", images)
    other = ct_series(tmp_path / "set" / "other patient", patient="SECRET-18")
    write_seg(tmp_path / "set" / "somebody.dcm", other)
    source = DicomSegSource(tmp_path / "set")
    cases = list(source.cases())
    assert len({case.patient for case in cases}) == 2
    assert len({case.name for case in cases}) == 3
    shown, bad = everything(source)
    assert not bad
    uid = str(images[0].SOPInstanceUID)
    for each in shown:
        text = f"{each.dataset} {each.patient} {each.name} {each.entities}"
        assert "SECRET" not in text.upper()
        assert uid not in text


def test_damaged_files_and_missing_images_are_reported(tmp_path: Path) -> None:
    images = ct_series(tmp_path / "set" / "ct")
    write_seg(tmp_path / "set" / "seg.dcm", images)
    good, _ = everything(DicomSegSource(tmp_path / "set"))
    (tmp_path / "set" / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    shown, (damaged,) = everything(DicomSegSource(tmp_path / "set"))
    assert len(shown) == len(good) == 3
    assert damaged.case == "damaged-x.dcm"
    (tmp_path / "set" / "ct" / "1.dcm").unlink()
    shown, bad = everything(DicomSegSource(tmp_path / "set"))
    assert not shown
    assert "1 of the images of seg.dcm are missing" in bad[0].reason


def test_images_of_another_size_are_reported(tmp_path: Path) -> None:
    images = ct_series(tmp_path / "set" / "ct")
    write_seg(tmp_path / "set" / "seg.dcm", images)
    images[0].Rows = ROWS - 1
    images[0].PixelData = images[0].PixelData[: (ROWS - 1) * COLUMNS * 2]
    images[0].save_as(tmp_path / "set" / "ct" / "0.dcm", enforce_file_format=True)
    shown, (bad,) = everything(DicomSegSource(tmp_path / "set"))
    assert not shown
    assert "seg.dcm has 12 x 10 pixels" in bad.reason
    assert "expected 12 x 9 as 0.dcm" in bad.reason


def test_a_segmentation_without_its_series_is_synthesised(tmp_path: Path) -> None:
    images = ct_series(tmp_path / "elsewhere")
    write_seg(tmp_path / "set" / "seg.dcm", images, overlap=False)
    (source,) = open_sources(tmp_path / "set")
    assert isinstance(source, SynthesisedSource)
    shown, bad = everything(source)
    assert not bad
    assert shown
    assert all(each.synthetic and each.oriented for each in shown)
    assert {name for each in shown for name in each.masks()} <= {"liver", "lesion"}


def test_heads_are_synthesised_as_mr_and_other_parts_with_tissue_around(tmp_path: Path) -> None:
    for name, label in (("head", "left thalamus"), ("trunk", "liver")):
        save(tmp_path / name / "a.nii.gz", block())
        (tmp_path / name / "names.json").write_text(json.dumps({"1": label}))
    head, trunk = open_sources(tmp_path)
    assert (head.modality, trunk.modality) == (Modality.MR, Modality.OTHER)
    around = {}
    for source in (head, trunk):
        shown = everything(source)[0][0]
        around[source.name] = np.median(shown.image.pixels[shown.labels == 0])
    assert around["head"] < 15 < around["trunk"]


def test_overlapping_segments_are_no_label_map_to_synthesise(tmp_path: Path) -> None:
    write_seg(tmp_path / "set" / "seg.dcm", ct_series(tmp_path / "elsewhere"))
    shown, (bad,) = everything(open_sources(tmp_path / "set")[0])
    assert not shown
    assert "whose segments form one label map" in bad.reason


def test_the_sample_of_pydicom_data(tmp_path: Path) -> None:
    store = pytest.importorskip("data_store", reason="needs pydicom-data")
    sample = Path(store.__file__).parent / "data" / "liver.dcm"
    shutil.copy(sample, tmp_path / "liver.dcm")
    (source,) = open_sources(tmp_path)
    assert source.entities == ("liver",)
    shown, bad = everything(source)
    assert not bad
    assert [list(each.masks()) for each in shown] == [["liver"]]
    assert shown[0].image.directions == Edges(left="R", right="L", top="A", bottom="P")


def test_a_folder_without_segmentations_is_refused(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct")
    with pytest.raises(DatasetError, match="no DICOM segmentation"):
        DicomSegSource(tmp_path)


# ------------------------------------------------------------------------------------- detection


def picture(path: Path, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((9, 12), np.uint8)
    pixels[2:5, 3:7] = value
    PillowImage.fromarray(pixels).save(path)


def fill(folder: Path) -> None:
    """One data set of each layout, and something else."""
    first = nnunet(folder / "a_nnunet")
    save(first / "imagesTr" / "a_0000.nii.gz", ramp())
    save(first / "labelsTr" / "a.nii.gz", block())
    save(nnunet(folder / "b_labels_only") / "labelsTr" / "a.nii.gz", block())
    name = "ct_00--X--liver--case--z_01"
    picture(folder / "c_samed2d" / "images" / "ct_00--X--case--z_01.png")
    picture(folder / "c_samed2d" / "masks" / f"{name}--000.png", 255)
    picture(folder / "d_coco" / "a.png")
    square = [[2, 1, 6, 1, 6, 4, 2, 4]]
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "polyp"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": square}],
    }
    (folder / "d_coco" / "d.json").write_text(json.dumps(coco))
    save(folder / "e_nifti" / "images" / "a.nii.gz", ramp())
    save(folder / "e_nifti" / "labels" / "a.nii.gz", block())
    (folder / "e_nifti" / "names.json").write_text('{"1": "liver"}')
    save(folder / "f_nifti_only" / "a.nii.gz", block())
    (folder / "f_nifti_only" / "names.json").write_text('{"1": "liver"}')
    picture(folder / "g_masks" / "images" / "a.png")
    picture(folder / "g_masks" / "masks" / "a_polyp.png", 255)
    write_seg(folder / "h_dicom" / "seg" / "s.dcm", ct_series(folder / "h_dicom" / "ct"))
    (folder / "i_other").mkdir()
    (folder / "README.md").write_text("nothing")


def test_every_layout_is_found_and_read(tmp_path: Path) -> None:
    fill(tmp_path)
    found = open_sources(tmp_path)
    assert [type(source) for source in found] == [
        NnunetSource,
        SynthesisedSource,
        SaMed2dSource,
        CocoSource,
        LabelVolumeSource,
        SynthesisedSource,
        PictureMaskSource,
        DicomSegSource,
    ]
    for source in found:
        shown, bad = everything(source)
        assert not bad, source.name
        assert shown, source.name
        assert set(shown[0].entities) == set(source.entities)
        assert all(each.image.size == m.shape for each in shown for m in each.masks().values())


def test_a_data_set_is_found_at_the_place_itself(tmp_path: Path) -> None:
    fill(tmp_path)
    for folder in sorted(tmp_path.iterdir()):
        if folder.is_dir() and folder.name != "i_other":
            (inside,) = open_sources(folder)
            assert inside.name in (folder.name, "d")
    (coco,) = open_sources(tmp_path / "d_coco" / "d.json")
    assert isinstance(coco, CocoSource)


@pytest.mark.parametrize("content", [None, "readme", "folder", "picture", "json"])
def test_an_unknown_place_says_what_was_looked_for(tmp_path: Path, content: str | None) -> None:
    place = tmp_path / "set"
    if content is not None:
        (place / "inner").mkdir(parents=True)
    if content == "readme":
        (place / "README.md").write_text("hello")
    if content == "picture":
        picture(place / "inner" / "a.png")
    if content == "json":
        (place / "a.json").write_text('{"a": 1}')
    with pytest.raises(DatasetError) as caught:
        open_sources(place)
    text = str(caught.value)
    if content is None:
        assert "there is no" in text
    else:
        for part in ("nnU-Net", "SA-Med2D-20M", "COCO", "NIfTI", "DICOM", "names file"):
            assert part in text


def test_a_file_that_is_no_coco_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(DatasetError, match="a.json is no COCO json"):
        open_sources(tmp_path / "a.json")


@pytest.mark.skipif("MEDIROUND_SHARED" not in os.environ, reason="needs MEDIROUND_SHARED")
def test_the_first_case_of_every_shared_data_set_is_read() -> None:
    counts = {}
    for source in open_sources(Path(os.environ["MEDIROUND_SHARED"]) / "data"):
        case = next(source.cases())
        shown = next(case.slices())
        assert set(shown.masks()) <= set(source.entities)
        counts[source.name] = sum(1 for _ in source.cases())
    assert counts == {
        "Dataset001_AbdomenCT": 163,
        "Dataset002_CardiacMR": 94,
        "Dataset003_NerveUltrasound": 204,
        "Dataset004_Hippocampus": 195,
        "Dataset005_BrainTumourMR": 4,
        "Dataset006_HeadLabelMaps": 10,
    }
