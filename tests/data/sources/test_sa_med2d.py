"""The folder and the json of SA-Med2D-20M."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.sources.pictures import box, picture, written
from tests.data.sources.reading import everything

from mediround.data.sources import (
    SaMed2dSource,
)
from mediround.data.sources.json_members import json_members
from mediround.errors import DatasetError
from mediround.imaging import Modality

_IMAGE = "ct_00--CT_ORG--volume-1--x_0083"


@pytest.fixture
def sa_med2d(tmp_path: Path) -> Path:
    folder = tmp_path / "SAMed2Dv1"
    masks = {"0001_000": box(0, 0, 4, 4), "0001_001": box(6, 6, 8, 8), "0002_000": box(2, 2, 5, 5)}
    for name, mask in masks.items():
        picture(folder / "masks" / f"{_IMAGE}--{name}.png", mask)
    colour = np.repeat(box(0, 0, 9, 9, 77)[..., None], 3, axis=2)
    picture(folder / "images" / f"{_IMAGE}.png", colour)
    listed = {f"images/{_IMAGE}.png": [f"masks/{_IMAGE}--{name}.png" for name in masks]}
    written(folder / "SAMed2D_v1.json", listed)
    classes = {"CT_ORG": {"kidney_left": "0001", "liver": "0002", "brain": "0003"}, "X": {"a": "1"}}
    written(folder / "SAMed2D_v1_class_mapping_id.json", classes)
    return folder


def test_sa_med2d_with_its_json(sa_med2d: Path) -> None:
    source = SaMed2dSource(sa_med2d)
    (shown,), bad = everything(source)
    assert not bad
    assert (shown.dataset, shown.patient, shown.name) == ("CT_ORG", "CT_ORG--volume-1", _IMAGE)
    assert shown.image.modality is Modality.CT
    assert shown.image.pixels.ndim == 2
    assert {name: len(each) for name, each in shown.instances().items()} == {
        "left kidney": 2,
        "liver": 1,
    }
    assert shown.entities == ("left kidney", "liver", "brain")
    assert source.entities == ("left kidney", "liver", "brain", "a")
    assert source.licence == "CC BY-NC-SA 4.0"
    assert (shown.masks()["liver"] & shown.masks()["left kidney"]).sum() == 4


def test_sa_med2d_without_its_json_is_read_from_the_folder(sa_med2d: Path) -> None:
    with_json, _ = everything(SaMed2dSource(sa_med2d))
    (sa_med2d / "SAMed2D_v1.json").unlink()
    without, bad = everything(SaMed2dSource(sa_med2d))
    assert not bad
    assert [each.name for each in without] == [each.name for each in with_json]
    for name, mask in with_json[0].masks().items():
        np.testing.assert_array_equal(without[0].masks()[name], mask)


def test_mask_files_that_name_their_label_need_no_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    picture(folder / "images" / "mr_00--ACDC--patient001_frame01--z_0001.png")
    for label in ("left_ventricle_cavity", "myocardium"):
        name = f"mr_00--ACDC--{label}--patient001_frame01--z_0001--0000.png"
        picture(folder / "masks" / name, box(0, 0, 4, 4, 1))
    (shown,), bad = everything(SaMed2dSource(folder))
    assert not bad
    assert "left ventricle cavity" in shown.masks()
    assert len(shown.masks()) == 2
    assert shown.patient == "ACDC--patient001_frame01"


def test_bad_entries_of_sa_med2d_are_reported(sa_med2d: Path) -> None:
    listed = json.loads((sa_med2d / "SAMed2D_v1.json").read_text())
    more = {
        "images/odd.png": ["masks/odd--1.png"],
        "images/ct_00--CT_ORG--v--x_1.png": ["masks/ct_00--CT_ORG--v--x_1--0009_000.png"],
        "images/ct_00--CT_ORG--v--x_2.png": ["masks/ct_00--CT_ORG--v--x_2--0001_000.png"],
        "images/ct_00--CT_ORG--v--x_3.png": [],
        "images/../../ct_00--CT_ORG--v--x_4.png": ["masks/ct_00--CT_ORG--v--x_4--0001_000.png"],
    }
    written(sa_med2d / "SAMed2D_v1.json", {**more, **listed})
    shown, bad = everything(SaMed2dSource(sa_med2d))
    assert len(shown) == 1
    reasons = [each.reason for each in bad]
    assert len(reasons) == 5
    assert "parts between --" in reasons[0]
    assert "is of class 0009, which the class mapping does not name" in reasons[1]
    assert "x_2" in reasons[2]
    assert "has no mask" in reasons[3]
    assert "leads out of SAMed2Dv1" in reasons[4]


@settings(max_examples=40, deadline=None)
@given(
    members=st.dictionaries(
        st.text(max_size=20),
        st.integers() | st.none() | st.lists(st.text(max_size=5), max_size=3),
        max_size=5,
    ),
    indent=st.sampled_from([None, 1]),
)
def test_members_of_an_object_stream_as_they_load(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(members, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediround.data.sources.json_members._CHUNK", 3)
        assert dict(json_members(path)) == members


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1', '{"a"', '{"a": 1, 2: 3}', '{"a": nope}'])
def test_a_broken_object_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match="a.json"):
        list(json_members(written(tmp_path / "a.json", text)))
