"""DICOM SEG over its series."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.data.sources.reading import everything
from tests.data.sources.segmentations import COLUMNS, ROWS, ct_series, seg_masks, write_seg
from tests.data.sources.volumes import block, save

from mediround.data.sources import (
    DicomSegSource,
    SynthesisedSource,
    open_sources,
)
from mediround.errors import DatasetError
from mediround.imaging import Edges, Modality


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
