"""Which layout a folder has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from tests.data.sources.reading import everything
from tests.data.sources.segmentations import ct_series, write_seg
from tests.data.sources.volumes import block, nnunet, ramp, save

from mediround.data.sources import (
    CocoSource,
    DicomSegSource,
    LabelVolumeSource,
    NnunetSource,
    PictureMaskSource,
    SaMed2dSource,
    SynthesisedSource,
    open_sources,
)
from mediround.errors import DatasetError


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
