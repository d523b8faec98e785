"""COCO json: polygons, run lengths, crowds."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from tests.data.sources.pictures import H, W, box, picture, written
from tests.data.sources.reading import everything

from mediround.data.sources import (
    CocoSource,
)
from mediround.errors import DatasetError
from mediround.geometry import encode_rle
from mediround.imaging import Image

_SQUARE = [2.0, 1.0, 6.0, 1.0, 6.0, 4.0, 2.0, 4.0]


def coco_file(folder: Path, annotations: list[dict[str, Any]], **image: Any) -> Path:
    picture(folder / "images" / "a.png")
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": H, "width": W, **image}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 3, **each}
            for n, each in enumerate(annotations, start=1)
        ],
        "categories": [{"id": 3, "name": "Polyp"}, {"id": 5, "name": "kidney_left"}],
        "licenses": [{"id": 1, "name": "CC BY 4.0"}],
    }
    return written(folder / "annotations.json", content)


def test_coco_polygons_run_lengths_and_crowds(tmp_path: Path) -> None:
    mask = box(1, 2, 4, 6) > 0
    plain = [13 * 0 + 2 * H + 1, 3, 7, 3, 7, 3, 7, 3, 8 * H + 6]
    file = coco_file(
        tmp_path / "set",
        [
            {"segmentation": [_SQUARE]},
            {"segmentation": encode_rle(mask)},
            {"segmentation": {"size": [H, W], "counts": plain}, "category_id": 5, "iscrowd": 1},
        ],
    )
    source = CocoSource(file)
    (shown,), bad = everything(source)
    assert not bad
    assert [each.entity for each in shown.structures] == ["polyp", "polyp", "left kidney"]
    for each in shown.structures:
        np.testing.assert_array_equal(each.mask, mask)
    assert shown.structures[2].crowd
    assert list(shown.instances()) == ["polyp"]
    assert source.licence == "CC BY 4.0"
    assert source.entities == ("polyp", "left kidney")


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), density=st.floats(0.05, 0.95))
def test_compressed_and_plain_run_lengths_are_the_same_mask(seed: int, density: float) -> None:
    from mediround.data.sources.coco import Annotation, outline_to_mask

    mask = np.random.default_rng(seed).random((H, W)) < density
    image = Image.from_array(np.zeros((H, W), np.uint8))
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(int))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    for outline in (encode_rle(mask), {"size": [H, W], "counts": counts}):
        found = outline_to_mask(Annotation("1", 1, outline, crowd=False), image)
        np.testing.assert_array_equal(found, mask)


def test_polygons_agree_with_the_reference_rasteriser(tmp_path: Path) -> None:
    two = [[1.5, 1.5, 7.25, 2.0, 4.0, 8.75], [9.0, 1.0, 13.0, 1.0, 13.0, 9.0]]
    file = coco_file(tmp_path / "set", [{"segmentation": two}])
    (shown,), _ = everything(CocoSource(file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, under NumPy 2
        expected = coco.decode(coco.merge(coco.frPyObjects(two, H, W))).astype(bool)
    np.testing.assert_array_equal(shown.masks()["polyp"], expected)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({}, "annotation 1 has no outline"),
        ({"segmentation": []}, "annotation 1 has no outline"),
        ({"segmentation": [_SQUARE], "category_id": 4}, "annotation 1 is of category 4"),
        ({"segmentation": [[1, 2, 3, 4]]}, "a polygon of 4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("inf")]]}, "far outside"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e9]]}, "far outside"),
        ({"segmentation": [["a", "b", "c", "d", "e", "f"]]}, "no list of numbers"),
        ({"segmentation": {"size": [H, W], "counts": [5, 5]}}, "do not add up"),
        ({"segmentation": {"size": [H, W], "counts": [-5, H * W + 5]}}, "do not add up"),
        ({"segmentation": {"size": [H, W], "counts": "zzz~~"}}, "cannot be read"),
        ({"segmentation": {"size": [3, 4], "counts": [12]}}, "a mask of 4 x 3 pixels"),
    ],
)
def test_bad_annotations_are_reported(
    tmp_path: Path, annotation: dict[str, Any], reason: str
) -> None:
    shown, (bad,) = everything(CocoSource(coco_file(tmp_path / "set", [annotation])))
    assert not shown
    assert reason in bad.reason


def test_bad_images_of_a_coco_json_are_reported(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "set", [{"segmentation": [_SQUARE]}])
    content = json.loads(file.read_text())
    content["images"] += [
        {"id": 8, "file_name": "b.png"},
        {"id": 9, "file_name": "../../x.png"},
        {"id": 10},
        {"id": 11, "file_name": "c.png", "height": 3, "width": 4},
        {"id": 12, "file_name": "d.png", "patient_id": 5},
    ]
    for n, image_id in enumerate((8, 9, 11, 99)):
        content["annotations"].append(
            {"id": 50 + n, "image_id": image_id, "category_id": 3, "segmentation": [_SQUARE]}
        )
    picture(file.parent / "images" / "c.png")
    file.write_text(json.dumps(content))
    source = CocoSource(file)
    shown, bad = everything(source)
    assert [each.name for each in shown] == ["a"]
    reasons = " | ".join(each.reason for each in bad)
    assert len(bad) == 5
    for part in ("b.png", "leads out of", "image 10 has no file_name", "4 x 3 as the json says"):
        assert part in reasons
    assert "1 annotations of image 99" in reasons
    assert [case.patient for case in source.cases()][5] == "5"


def test_images_are_looked_for_beside_the_json(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "set", [{"segmentation": [_SQUARE]}])
    moved = tmp_path / "set" / "annotations" / "instances_train.json"
    moved.parent.mkdir()
    file.rename(moved)
    (shown,), _ = everything(CocoSource(moved))
    assert shown.dataset == "instances_train"
    (tmp_path / "set" / "images" / "a.png").unlink()
    with pytest.raises(DatasetError, match="none of the images of instances_train.json was found"):
        CocoSource(moved)


def test_files_of_one_name_in_two_folders_are_two_cases(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "set", [{"segmentation": [_SQUARE]}])
    content = json.loads(file.read_text())
    content["images"].append({"id": 8, "file_name": "more/a.png"})
    picture(file.parent / "images" / "more" / "a.png")
    file.write_text(json.dumps(content))
    assert [case.name for case in CocoSource(file).cases()] == ["a 7", "a 8"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"images": 3, "categories": [], "annotations": []}']
)
def test_what_is_no_coco_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match="a.json cannot be used"):
        CocoSource(written(tmp_path / "a.json", text))
