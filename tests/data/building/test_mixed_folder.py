"""One folder with a data set of every layout, and something broken in each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.data.building.build import build
from mediround.data.building.settings import BuildSettings
from mediround.data.inspection.check import check
from mediround.data.shards import DialogueFolder
from mediround.data.sources import Case, CocoSource, LabelledSlice, SaMed2dSource, open_sources
from mediround.errors import DatasetError
from mediround.geometry import encode_rle
from mediround.imaging import Modality

NAMES = ("liver", "spleen", "left kidney", "right kidney", "aorta")
BOXES = ((8, 60, 6, 40), (20, 50, 76, 92), (62, 78, 60, 74), (62, 78, 20, 34), (50, 58, 45, 53))
VALUES = {str(value): name for value, name in enumerate(NAMES, start=1)}


def labels(seed: int) -> NDArray[np.uint8]:
    """(90, 96): the structures, each moved a little."""
    found = np.zeros((90, 96), np.uint8)
    moves = np.random.default_rng(seed).integers(0, 5, (len(BOXES), 2))
    for value, ((top, bottom, left, right), (dy, dx)) in enumerate(zip(BOXES, moves, strict=True)):
        found[top + dy : bottom, left + dx : right] = value + 1
    return found


def picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)


def shown(found: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed + 1000).integers(0, 30, found.shape)
    image: NDArray[np.uint8] = (found * 40 + noise).astype(np.uint8)
    return image


def write_nnunet(folder: Path) -> None:
    for case in range(5):
        picture(folder / "imagesTr" / f"n_{case}_0000.png", shown(labels(case), case))
        picture(folder / "labelsTr" / f"n_{case}.png", labels(case))
    picture(folder / "labelsTr" / "n_1.png", labels(1)[:50])
    (folder / "imagesTr" / "n_2_0000.png").unlink()
    picture(folder / "labelsTr" / "n_3.png", np.zeros((90, 96), np.uint8))
    numbered = {"background": 0, **{name: int(value) for value, name in VALUES.items()}}
    described = {"channel_names": {"0": "CT"}, "labels": numbered, "file_ending": ".png"}
    (folder / "dataset.json").write_text(json.dumps(described))


def write_pictures(folder: Path) -> None:
    for case in range(4):
        picture(folder / "images" / f"p{case}.png", shown(labels(case + 10), case + 10))
        picture(folder / "masks" / f"p{case}.png", labels(case + 10))
    picture(folder / "masks" / "p1.png", np.where(labels(11) == 5, 200, labels(11)).astype("u1"))
    (folder / "images" / "p2.png").write_bytes(b"no picture")
    (folder / "names.json").write_text(json.dumps(VALUES))


def write_volumes(folder: Path) -> None:
    for case in range(2):
        stack = np.stack([labels(20 + 3 * case + k) for k in range(3)], -1).swapaxes(0, 1)
        for part, values in (("labels", stack), ("images", shown(stack, case))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            volume = nibabel.Nifti1Image(values.astype(np.int16), np.diag([-1.0, -1, 3, 1]))
            nibabel.save(volume, folder / part / f"v{case}.nii.gz")
    whole = (folder / "labels" / "v1.nii.gz").read_bytes()
    (folder / "labels" / "v1.nii.gz").write_bytes(whole[:100])
    (folder / "names.json").write_text(json.dumps(VALUES))


def write_sa_med2d(folder: Path) -> None:
    listed: dict[str, Any] = {}
    for case in range(4):
        name = f"ct_00--CHAOS--vol{case}--x_0001"
        found = labels(case + 30)
        picture(folder / "images" / f"{name}.png", shown(found, case + 30))
        for value in range(1, 6):
            mask = f"masks/{name}--{value:04}_000.png"
            picture(folder / mask, (found == value).astype(np.uint8) * 255)
            listed.setdefault(f"images/{name}.png", []).append(mask)
    listed["images/ct_00--CHAOS--vol9--x_0001.png"] = "no list"
    listed["images/ct_00--CHAOS--vol0--x_0001.png"].append("masks/odd.png")
    (folder / "SAMed2D_v1.json").write_text(json.dumps(listed))
    classes = {name.replace(" ", "_"): f"{int(value):04}" for value, name in VALUES.items()}
    mapping = {"CHAOS": classes, "X": {"brain": "0001"}}
    (folder / "SAMed2D_v1_class_mapping_id.json").write_text(json.dumps(mapping))


def write_coco(folder: Path) -> None:
    images, annotations = [], []
    for case in range(4):
        found = labels(case + 40)
        picture(folder / "images" / f"c{case}.png", shown(found, case + 40))
        images.append({"id": case, "file_name": f"c{case}.png", "height": 90, "width": 96})
        for value in range(1, 6):
            outline = encode_rle(found == value)
            each = {"image_id": case, "category_id": value, "segmentation": outline}
            annotations.append({"id": 10 * case + value, **each})
    square = [[1, 1, 20, 1, 20, 20]]
    images += [{"file_name": "c0.png"}, {"id": 1, "file_name": "c2.png"}]
    annotations += [
        {"id": 90, "image_id": 2, "category_id": "x", "segmentation": square},
        {"id": 91, "category_id": 1, "segmentation": square},
    ]
    categories = [{"id": int(value), "name": name} for value, name in VALUES.items()]
    content = {"images": images, "annotations": [*annotations, "odd"], "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    write_nnunet(folder / "Dataset501_Toy")
    write_pictures(folder / "pictures")
    write_volumes(folder / "volumes")
    write_sa_med2d(folder / "samed")
    write_coco(folder / "coco")
    (folder / "Dataset502_Broken" / "labelsTr").mkdir(parents=True)
    (folder / "Dataset502_Broken" / "dataset.json").write_text("{not json")
    return folder


def test_what_is_broken_is_listed_and_all_else_is_built(mixed: Path, tmp_path: Path) -> None:
    settings = BuildSettings(dialogues=60)
    manifest = build(open_sources(mixed), tmp_path / "out", settings)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert Counter(each["dataset"] for each in report["bad_cases"]) == {
        "Dataset501_Toy": 2,
        "Dataset502_Broken": 1,
        "pictures": 2,
        "volumes": 1,
        "samed": 2,
        "instances": 4,
    }
    assert report["cases_without_structures"] == ["Dataset501_Toy/n_3"]
    used = {name: facts["images"] for name, facts in manifest.sources.items() if facts["images"]}
    assert used == {
        "Dataset501_Toy": 2,
        "instances": 3,
        "pictures": 2,
        "volumes": 3,
        "CHAOS": 3,
    }
    assert check(tmp_path / "out").passed
    assert build(open_sources(mixed), tmp_path / "out", settings) == manifest


def test_data_sets_inside_a_source_are_told_apart(mixed: Path, tmp_path: Path) -> None:
    manifest = build([SaMed2dSource(mixed / "samed")], tmp_path, BuildSettings(dialogues=9))
    inner, outer = manifest.sources["CHAOS"], manifest.sources["samed"]
    assert (inner["source"], inner["modality"], inner["images"]) == ("samed", "CT", 3)
    assert tuple(inner["entities"]) == NAMES  # what another data set labels is none of its names
    assert (outer["images"], outer["bad_cases"], inner["bad_cases"]) == (0, 2, 0)
    assert {record.dataset for record in DialogueFolder(tmp_path).records()} == {"CHAOS"}


def test_broken_records_of_a_coco_json_cost_one_image_each(mixed: Path) -> None:
    reasons = {}
    for case in CocoSource(mixed / "coco" / "instances.json").cases():
        try:
            list(case.slices())
        except DatasetError as error:
            reasons[case.name] = str(error)
    assert set(reasons) == {"c2", "image at place 5", "second image 1", "annotations"}
    assert "annotation 90 is of category None" in reasons["c2"]
    assert "2 annotations that belong to no image" in reasons["annotations"]


def test_odd_files_beside_those_of_sa_med2d_are_reported(mixed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    picture(folder / "images" / "ct_00--A--v--x_1.png", labels(1))
    picture(folder / "images" / "odd.png", labels(1))
    for name in ("ct_00--A--liver--v--x_1--0000", "a--b--c--d--e--f--g"):
        picture(folder / "masks" / f"{name}.png", (labels(1) == 1).astype(np.uint8))
    source = SaMed2dSource(folder)
    assert source.entities == ("liver",)
    cases = list(source.cases())
    assert len(cases) == 3
    good = [case for case in cases if case.dataset == "A"]
    assert [each.entities for case in good for each in case.slices()] == [("liver",)]


def test_when_nothing_can_be_used_the_reason_is_raised(tmp_path: Path) -> None:
    (tmp_path / "Dataset502_Broken" / "labelsTr").mkdir(parents=True)
    (tmp_path / "Dataset502_Broken" / "dataset.json").write_text("{not json")
    with pytest.raises(DatasetError, match="dataset.json cannot be used"):
        open_sources(tmp_path)


@dataclass(frozen=True)
class Surprising(Case):
    """A case whose file breaks its reader in a way nobody thought of."""

    def read(self) -> Iterator[LabelledSlice]:
        raise RecursionError("too deep")


@dataclass
class Surprises:
    """Another source, with one such case in its midst."""

    name: str
    inner: Any
    entities: tuple[str, ...] = NAMES
    modality: Modality = Modality.CT
    licence: str = ""

    def cases(self) -> Iterator[Case]:
        yield Surprising(self.name, "deep", "somebody")
        yield from self.inner.cases()


def test_an_unforeseen_error_is_a_bad_case(mixed: Path, tmp_path: Path) -> None:
    (inner,) = open_sources(mixed / "pictures")
    build([Surprises("pictures", inner)], tmp_path, BuildSettings(dialogues=6))
    first = json.loads((tmp_path / "report.json").read_text())["bad_cases"][0]
    assert first["case"] == "deep"
    assert first["reason"].endswith("unforeseen RecursionError: too deep")
