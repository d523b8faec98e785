"""Sources that are pictures: nnU-Net PNG, masks beside images, SA-Med2D-20M, COCO."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pycocotools import mask as coco

from mediround.data.sources import (
    BadCase,
    CaseError,
    CocoSource,
    LabelledSlice,
    NnunetSource,
    PictureMaskSource,
    SaMed2dSource,
    Source,
    Structure,
    readable,
)
from mediround.data.sources.json_members import json_members
from mediround.data.sources.label_names import read_names
from mediround.errors import DatasetError
from mediround.geometry import encode_rle
from mediround.imaging import Image, Modality

H, W = 10, 14


def picture(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    gray = np.arange(H * W, dtype=np.uint8).reshape(H, W) if pixels is None else pixels
    PillowImage.fromarray(gray).save(path)
    return path


def box(top: int, left: int, bottom: int, right: int, value: int = 255) -> NDArray[np.uint8]:
    mask = np.zeros((H, W), dtype=np.uint8)
    mask[top:bottom, left:right] = value
    return mask


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def everything(source: Source) -> tuple[list[LabelledSlice], list[BadCase]]:
    bad: list[BadCase] = []
    # A case travels to other processes, so it must survive a pickle.
    cases = [pickle.loads(pickle.dumps(case)) for case in source.cases()]
    return list(readable(cases, bad.append)), bad


# -------------------------------------------------------------------------------------- a slice


def test_overlapping_structures_have_masks_but_no_label_map() -> None:
    first, second = box(0, 0, 4, 4) > 0, box(2, 2, 6, 6) > 0
    image = Image.from_array(np.zeros((H, W), np.uint8))
    both = (Structure("liver", first, 1), Structure("tumour", second, 2))
    shown = LabelledSlice("d", "p", "n", image, both, {1: "liver", 2: "tumour"}, oriented=False)
    np.testing.assert_array_equal(shown.masks()["liver"], first)
    np.testing.assert_array_equal(shown.masks()["tumour"], second)
    with pytest.raises(DatasetError, match="tumour overlaps another structure in n"):
        _ = shown.labels


def test_instances_are_apart_and_their_masks_together() -> None:
    first, second = box(0, 0, 4, 4) > 0, box(6, 6, 8, 8) > 0
    image = Image.from_array(np.zeros((H, W), np.uint8))
    two = (Structure("nerve", first, 3), Structure("nerve", second, 3))
    shown = LabelledSlice("d", "p", "n", image, two, {3: "nerve"}, oriented=False)
    assert [m.sum() for m in shown.instances()["nerve"]] == [16, 4]
    np.testing.assert_array_equal(shown.masks()["nerve"], first | second)
    np.testing.assert_array_equal(shown.labels, np.where(first | second, 3, 0))
    crowd = (*two, Structure("nerve", box(9, 9, 10, 10) > 0, 3, crowd=True))
    unsure = LabelledSlice("d", "p", "n", image, crowd, {3: "nerve"}, oriented=False)
    assert unsure.instances() == {}
    assert unsure.masks()["nerve"].sum() == 21


# -------------------------------------------------------------------------------------- nnU-Net


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


# ----------------------------------------------------------------------------- names of labels


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"1": "liver", "5": "left kidney"}'),
        ("b.json", '{"background": 0, "liver": 1, "kidney_left": 5}'),
        ("c.json", '{"labels": {"0": "background", "1": "Liver", "5": "Left-Kidney"}}'),
        ("d.txt", "# a comment\n0 Unknown 0 0 0 0\n1 Liver 255 0 0 0\n5 Left-Kidney 1 2 3 0\n"),
        (
            "e.txt",
            '0 0 0 0 0 0 0 "Clear Label"\n1 255 0 0 1 1 1 "liver"\n5 9 9 9 1 1 1 "left kidney"',
        ),
        ("f.csv", "label,name\n1,liver\n5,left kidney\n"),
        ("g.tsv", "1\tliver\n5\tleft kidney\n"),
        ("h.txt", "1: liver\n5: left kidney\n"),
    ],
)
def test_names_files_of_many_tools(tmp_path: Path, name: str, text: str) -> None:
    assert read_names(written(tmp_path / name, text)) == {"1": "liver", "5": "left kidney"}


def test_a_list_of_names_counts_from_one_or_from_the_background(tmp_path: Path) -> None:
    assert read_names(written(tmp_path / "a.json", ["liver", "spleen"])) == {
        "1": "liver",
        "2": "spleen",
    }
    listed = written(tmp_path / "b.json", ["background", "liver", "spleen"])
    assert read_names(listed) == {"1": "liver", "2": "spleen"}


@pytest.mark.parametrize("text", ["", "liver", "[1, 2]", '{"a": {"b": 1}}', '{"0": "background"}'])
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, text: str) -> None:
    for name in ("a.json", "a.txt"):
        if (name, text) == ("a.txt", '{"a": {"b": 1}}'):
            continue
        with pytest.raises(DatasetError, match=name):
            read_names(written(tmp_path / name, text))


# ------------------------------------------------------------------------------ images and masks


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


# ---------------------------------------------------------------------------------- SA-Med2D-20M

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


# ------------------------------------------------------------------------------------------ COCO

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
