"""Masks beside images, with a names file or one a structure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.sources.pictures import box, picture, written
from tests.data.sources.reading import everything

from mediround.data.sources import (
    PictureMaskSource,
)
from mediround.errors import DatasetError


def test_label_maps_beside_images(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    written(folder / "names.json", {"1": "polyp", "2": "instrument"})
    for name in ("p1_a", "p1_b", "p2_a"):
        picture(folder / "images" / f"{name}.png")
        picture(folder / "masks" / f"{name}.png", box(0, 0, 3, 3, 2))
    picture(folder / "images" / "p3_a.png")
    picture(folder / "masks" / "p4_a.png", box(0, 0, 3, 3, 2))
    shown, bad = everything(PictureMaskSource(folder, patient_pattern=r"^(p\d+)_"))
    assert [(each.name, each.patient) for each in shown] == [
        ("p1_a", "p1"),
        ("p1_b", "p1"),
        ("p2_a", "p2"),
    ]
    assert list(shown[0].masks()) == ["instrument"]
    assert shown[0].entities == ("polyp", "instrument")
    assert [each.case for each in bad] == ["p3_a", "p4_a"]
    assert "label map of p3_a.png" in bad[0].reason
    assert "p4_a.png has no image" in bad[1].reason


@pytest.mark.parametrize(
    "layout",
    [
        "masks/{case}/{structure}.png",
        "masks/{structure}/{case}.png",
        "masks/{case}_{structure}.png",
    ],
)
def test_one_binary_mask_a_structure(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "set"
    for case in ("a", "a_b"):
        picture(folder / "images" / f"{case}.png")
        for structure, mask in (("liver", box(0, 0, 5, 5)), ("left_kidney", box(3, 3, 8, 8))):
            picture(folder / layout.format(case=case, structure=structure), mask)
    source = PictureMaskSource(folder)
    shown, bad = everything(source)
    assert not bad
    assert [each.name for each in shown] == ["a", "a_b"]
    for each in shown:
        sizes = {name: int(mask.sum()) for name, mask in each.masks().items()}
        assert sizes == {"liver": 25, "left kidney": 25}
    assert sorted(source.entities) == ["left kidney", "liver"]


def test_numbers_after_a_structure_are_instances_and_empty_masks_show_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "set"
    written(folder / "names.json", {"n": "nerve", "v": "blood vessel"})
    picture(folder / "images" / "a.png")
    picture(folder / "masks" / "a" / "n_1.png", box(0, 0, 2, 2))
    picture(folder / "masks" / "a" / "n_2.png", box(4, 4, 6, 6))
    picture(folder / "masks" / "a" / "v.png", box(0, 0, 0, 0))
    (shown,), bad = everything(PictureMaskSource(folder))
    assert not bad
    assert {name: len(masks) for name, masks in shown.instances().items()} == {"nerve": 2}
    assert sorted(shown.entities) == ["blood vessel", "nerve"]


def test_a_mask_with_three_values_is_a_bad_case(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder / "images" / "a.png")
    picture(folder / "masks" / "a" / "liver.png", box(0, 0, 2, 2, 1) + box(5, 5, 6, 6, 2))
    shown, (bad,) = everything(PictureMaskSource(folder))
    assert not shown
    assert "'liver.png' holds 3 different values" in bad.reason


def test_masks_without_names_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder / "images" / "a.png")
    picture(folder / "masks" / "a.png", box(0, 0, 2, 2, 1))
    with pytest.raises(DatasetError, match="does not say what its labels are called"):
        PictureMaskSource(folder)
    written(folder / "names.json", {"liver": "liver"})
    with pytest.raises(DatasetError, match="names.json gives names to liver; expected label"):
        PictureMaskSource(folder)


@pytest.mark.parametrize("pattern", ["(", "p", "(a)(b)"])
def test_a_patient_pattern_has_one_group(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(DatasetError, match="patient pattern"):
        PictureMaskSource(tmp_path, patient_pattern=pattern)
