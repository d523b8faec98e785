"""nnU-Net folders of PNG files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.data.sources.pictures import H, W, box, picture, written
from tests.data.sources.reading import everything

from mediround.data.sources import (
    CaseError,
    NnunetSource,
)
from mediround.errors import DatasetError
from mediround.imaging import Modality


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    folder = tmp_path / "Dataset009_X"
    labels = {"background": 0, "liver": 1, "spleen": 2, "both": [1, 2], "ignore": 9}
    described = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".png"}
    written(folder / "dataset.json", {**described, "licence": "CC0"})
    picture(folder / "imagesTr" / "a_0000.png")
    picture(folder / "labelsTr" / "a.png", box(0, 0, 4, 4, 1) + box(6, 6, 8, 8, 2))
    return folder


def test_regions_overlap_their_parts(nnunet: Path) -> None:
    source = NnunetSource(nnunet)
    (shown,), bad = everything(source)
    assert not bad
    assert source.entities == ("liver", "spleen", "both")
    assert (source.licence, source.modality) == ("CC0", Modality.CT)
    assert {name: int(m.sum()) for name, m in shown.masks().items()} == {
        "liver": 16,
        "spleen": 4,
        "both": 20,
    }


def test_what_is_not_annotated_everywhere_is_left_out(nnunet: Path) -> None:
    picture(nnunet / "imagesTr" / "b_0000.png")
    picture(nnunet / "labelsTr" / "b.png", box(0, 0, 4, 4, 1) + box(6, 6, 8, 8, 9))
    shown, bad = everything(NnunetSource(nnunet))
    assert [each.name for each in shown] == ["a"]
    assert bad == []


def test_bad_cases_are_reported_and_the_others_read(nnunet: Path) -> None:
    for name in "bcdef":
        picture(nnunet / "imagesTr" / f"{name}_0000.png")
    picture(nnunet / "labelsTr" / "b.png", box(0, 0, 4, 4, 7))
    picture(nnunet / "labelsTr" / "c.png", np.ones((H, W - 1), np.uint8))
    picture(nnunet / "labelsTr" / "d.png", np.zeros((H, W), np.uint8))
    (nnunet / "labelsTr" / "e.png").write_bytes(b"\x89PNG no more")
    picture(nnunet / "labelsTr" / "f.png", box(0, 0, 9, 9, 2))
    picture(nnunet / "labelsTr" / "g.png", box(0, 0, 9, 9, 2))
    shown, bad = everything(NnunetSource(nnunet))
    assert [each.name for each in shown] == ["a", "f"]
    reasons = {each.case: each.reason for each in bad}
    assert sorted(reasons) == ["b", "c", "e", "g"]
    assert "b.png holds the label 7; expected one of the listed values 0, 1, 2, 9" in reasons["b"]
    assert "c.png has 13 x 10 pixels" in reasons["c"]
    assert "expected 14 x 10 as c_0000.png" in reasons["c"]
    assert "'e.png' cannot be decoded" in reasons["e"]
    assert "g_0000.png" in reasons["g"]
    assert all(reason.startswith("Dataset009_X, case ") for reason in reasons.values())


def test_an_image_without_labels_is_reported(nnunet: Path) -> None:
    picture(nnunet / "imagesTr" / "z_0000.png")
    picture(nnunet / "imagesTr" / "a_0001.png")
    shown, (bad,) = everything(NnunetSource(nnunet))
    assert [each.name for each in shown] == ["a"]
    assert bad.case == "z"
    assert "z_0000.png has no labels; expected labelsTr/z.png" in bad.reason


def test_a_case_error_knows_its_case(nnunet: Path) -> None:
    (nnunet / "imagesTr" / "a_0000.png").unlink()
    (case,) = NnunetSource(nnunet).cases()
    with pytest.raises(CaseError) as caught:
        list(case.slices())
    assert caught.value.case == "a"
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.case) == (str(caught.value), "a")


def test_other_file_endings_are_refused(nnunet: Path) -> None:
    described = json.loads((nnunet / "dataset.json").read_text())
    written(nnunet / "dataset.json", {**described, "file_ending": ".mha"})
    with pytest.raises(DatasetError, match="files ending in '.mha'.*expected .png"):
        NnunetSource(nnunet)
