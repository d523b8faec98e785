"""NIfTI label maps with a names file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.sources.reading import everything
from tests.data.sources.volumes import block, ramp, save

from mediround.data.sources import (
    LabelVolumeSource,
)
from mediround.errors import DatasetError
from mediround.imaging import Modality


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
