"""Sessions in the formats of other programs: every mask comes back voxel for voxel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pycocotools.coco import COCO
from pydicom import dcmread
from tests.dicom_series import write_series

from mediround.data.official import to_dialogue
from mediround.data.official.record import OfficialRecord
from mediround.data.official.typed_files import read_typed
from mediround.data.sources.coco import CocoSource
from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import InputError, SessionFileError
from mediround.imaging import Volume
from mediround.imaging.dicom_seg import Segmentation
from mediround.imaging.nifti import read_nifti, write_nifti
from mediround.imaging.raster import read_mask
from mediround.session import Model, Session
from mediround.session.export import FORMATS, Case, export, export_file, formats_of
from mediround.session.source import open_source
from mediround.session.store import SessionFile

Mask = NDArray[np.bool_]
SIZE = (10, 12)
"""Rows and columns; a volume of (12, 10, 9) has axial slices of them."""

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 3), st.just(10), st.just(12))).filter(
    lambda m: bool(m.any(axis=(1, 2)).all())
)
fast = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def case_of(path: Path, drawn: NDArray[np.bool_], **where: Any) -> Case:
    """A given mask first, then a round for each of the others, each referring to the one before."""
    image, source = open_source(path, where.get("slice"), where.get("plane"), None)
    names = ["left kidney", None, "liver"]
    given_ = (Entity.from_mask(1, drawn[0], name=names[0], status="given"),)
    rounds = tuple(
        Round(
            query=f"What lies beside [{number - 1}]?",
            text=f"It is [{number}].",
            entities=(
                Entity.from_mask(
                    number, mask, name=names[number - 1], score=0.5, refers_to=(number - 1,)
                ),
            ),
        )
        for number, mask in enumerate(drawn[1:], start=2)
    )
    stored = SessionFile(
        image=str(path),
        image_sha256=image.content_hash,
        slice=source.slice,
        plane=source.plane,
        modality=image.modality,
        model="tiny",
        weights_sha256="0" * 64,
        given=given_,
        rounds=rounds,
    )
    return Case(stored, image, source)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def png(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, SIZE, dtype=np.uint8)
    PillowImage.fromarray(pixels).save(folder / "image.png")
    return folder / "image.png"


@pytest.fixture(scope="module")
def series(folder: Path) -> Path:
    voxels = np.random.default_rng(1).integers(0, 2000, (12, 10, 9)).astype(np.int16)
    write_series(folder / "series", voxels)
    return folder / "series"


@pytest.fixture(scope="module")
def nifti(folder: Path) -> Path:
    """Oblique; axis 0 runs to inferior, 1 to the right, 2 to anterior."""
    voxels = np.random.default_rng(2).integers(-900, 900, (9, 12, 10)).astype(np.int16)
    affine = np.array(
        [[0.1, 0.8, 0.0, 5.0], [0.0, 0.0, 1.2, -70.0], [-2.5, 0.1, 0.1, 33.0], [0, 0, 0, 1.0]]
    )
    write_nifti(folder / "volume.nii.gz", voxels, Volume.from_array(voxels, affine=affine))
    return folder / "volume.nii.gz"


@fast
@given(drawn=masks)
def test_png(drawn: NDArray[np.bool_], png: Path, tmp_path: Path) -> None:
    case = case_of(png, drawn)
    files = export(case, "png", tmp_path / "out")
    for number, mask in enumerate(drawn, start=1):
        assert (read_mask(tmp_path / "out" / f"mask_{number}.png") == mask).all()
    assert SessionFile.read(files[-1]) == case.stored


@fast
@given(drawn=masks, index=st.integers(0, 8))
def test_nifti_of_a_volume_of_any_orientation(
    drawn: NDArray[np.bool_], index: int, nifti: Path, tmp_path: Path
) -> None:
    case = case_of(nifti, drawn, slice=index, plane="axial")
    export(case, "nifti", tmp_path / "out")
    source = read_nifti(nifti)
    for number, mask in enumerate(drawn, start=1):
        back = read_nifti(tmp_path / "out" / f"mask_{number}.nii.gz")
        assert np.abs(back.affine - source.affine).max() < 1e-5
        assert (back.voxels == source.place(mask, index, "axial")).all()
        assert (source.take(back.voxels, index, "axial") == mask).all()


@fast
@given(drawn=masks, index=st.integers(0, 8))
def test_dicom_seg_of_a_series(
    drawn: NDArray[np.bool_], index: int, series: Path, tmp_path: Path
) -> None:
    case = case_of(series, drawn, slice=index)
    (file,) = export(case, "dicom-seg", tmp_path / "seg.dcm")
    seg = Segmentation(file)
    (uid,) = seg.image_uids()[:1]
    image = next(p for p in series.iterdir() if dcmread(p).SOPInstanceUID == uid)
    shown, _ = open_source(image, None, None, None)
    assert (shown.pixels == case.image.pixels).all()  # on the very slice that was looked at
    assert [number for number, _ in seg.masks_on(uid)] == list(range(1, len(drawn) + 1))
    for (_, back), mask in zip(seg.masks_on(uid), drawn, strict=True):
        assert (back == mask).all()


# pycocotools 2.0.11 still speaks to NumPy 1.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@fast
@given(drawn=masks)
def test_coco(drawn: NDArray[np.bool_], png: Path, tmp_path: Path) -> None:
    file, picture = export(case_of(png, drawn), "coco", tmp_path / "out")
    opened = COCO(str(file))
    found = opened.loadAnns(opened.getAnnIds(imgIds=[1]))
    for each, mask in zip(found, drawn, strict=True):
        assert (opened.annToMask(each).astype(bool) == mask).all()
        assert each["area"] == mask.sum()
    assert (np.asarray(PillowImage.open(picture)) == np.asarray(PillowImage.open(png))).all()


@fast
@given(drawn=masks)
def test_dialogues_and_their_official_form(
    drawn: NDArray[np.bool_], png: Path, tmp_path: Path
) -> None:
    case = case_of(png, drawn)
    file, _ = export(case, "dialogue", tmp_path / "typed")
    (item,) = read_typed(file)
    assert item.dialogue.model_copy(update={"image": None}) == case.dialogue
    if len(drawn) < 2:
        with pytest.raises(InputError, match="has no rounds"):
            export(case, "official", tmp_path / "official")
        return
    files = export(case, "official", tmp_path / "official")
    assert all(each.is_file() for each in files)
    (value,) = json.loads(files[0].read_bytes())
    back: Dialogue = to_dialogue(
        OfficialRecord.from_json(value), lambda name: read_mask(tmp_path / "official" / name)
    )
    assert back.model_copy(update={"image": None}) == case.dialogue


@pytest.fixture
def two(png: Path) -> NDArray[np.bool_]:
    drawn = np.zeros((2, *SIZE), dtype=bool)
    drawn[0, 2:5, 3:9] = drawn[1, 6:9, 1:4] = True
    return drawn


def test_one_label_map(nifti: Path, tmp_path: Path, two: NDArray[np.bool_]) -> None:
    file, table = export(
        case_of(nifti, two, slice=3, plane="axial"), "nifti", tmp_path / "labels.nii.gz"
    )
    back = read_nifti(file)
    labels = back.take(back.voxels, 3, "axial")
    for number, mask in enumerate(two, start=1):
        assert ((labels == number) == mask).all()
    assert [row["name"] for row in json.loads(table.read_bytes())["masks"]] == ["left kidney", None]
    two[1, 2, 3] = True
    with pytest.raises(InputError, match=r"\[2\] overlaps \[1\]"):
        export(case_of(nifti, two, slice=3, plane="axial"), "nifti", tmp_path / "labels.nii")


def test_surfaces_lie_where_the_voxels_are(
    nifti: Path, tmp_path: Path, two: NDArray[np.bool_]
) -> None:
    case = case_of(nifti, two, slice=3, plane="axial")
    files = export(case, "stl", tmp_path / "out")
    assert [file.name for file in files] == ["mask_1.stl", "mask_2.stl", "masks.json"]
    records = np.frombuffer(
        files[0].read_bytes()[84:], dtype=[("numbers", "<f4", 12), ("attribute", "<u2")]
    )
    corners = records["numbers"][:, 3:].reshape(-1, 3).astype(np.float64) * [-1, -1, 1]
    voxels = np.argwhere(case.placed(two[0]))
    centres = voxels @ case.grid.affine[:3, :3].T + case.grid.affine[:3, 3]
    assert np.abs(corners.mean(axis=0) - centres.mean(axis=0)).max() < 0.5
    (together,) = export(case, "stl", tmp_path / "all.stl")
    assert together.stat().st_size > files[0].stat().st_size


def test_a_single_dicom_image_keeps_its_place(series: Path, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random((2, *SIZE)) > 0.5
    one = sorted(series.iterdir())[0]
    export(case_of(one, drawn), "nifti", tmp_path / "out")
    back = read_nifti(tmp_path / "out" / "mask_2.nii.gz")
    position = np.array([float(v) for v in dcmread(one).ImagePositionPatient])
    assert np.allclose(back.affine[:3, 3], position * [-1, -1, 1], atol=1e-4)
    assert np.allclose(back.voxel_spacing, (0.5, 0.75, 2.5), atol=1e-5)
    assert (drawn[1] == back.voxels[:, :, 0].T).all()


def test_images_that_have_gone_are_missed(series: Path, tmp_path: Path) -> None:
    moved = tmp_path / "one.dcm"
    moved.write_bytes(sorted(series.iterdir())[0].read_bytes())
    case = case_of(moved, np.ones((1, *SIZE), dtype=bool))
    moved.unlink()
    with pytest.raises(InputError, match="no longer where they were opened"):
        export(case, "dicom-seg", tmp_path / "seg.dcm")


def test_a_picture_has_no_place(png: Path, tmp_path: Path, two: NDArray[np.bool_]) -> None:
    case = case_of(png, two)
    export(case, "nifti", tmp_path / "out")
    back = read_nifti(tmp_path / "out" / "mask_1.nii.gz")
    assert not back.orientation_known
    assert (two[0] == back.voxels[:, :, 0].T).all()
    assert formats_of(case) == [name for name in FORMATS if name not in ("dicom-seg", "stl")]
    with pytest.raises(InputError, match="expected a DICOM file or series"):
        export(case, "dicom-seg", tmp_path / "seg.dcm")
    with pytest.raises(InputError, match="expected a volume"):
        export(case, "stl", tmp_path / "out")
    with pytest.raises(InputError, match="'jpeg'; expected one of dicom-seg, nifti"):
        export(case, "jpeg", tmp_path / "out")


def test_nothing_drawn_is_refused(png: Path, tmp_path: Path) -> None:
    image, source = open_source(png, None, None, None)
    stored = case_of(png, np.ones((1, *SIZE), dtype=bool)).stored
    said = Round(
        query="A kidney?",
        text="There is no left kidney in this image.",
        entities=(Entity(id=1, name="left kidney", status="absent"),),
    )
    case = Case(stored.model_copy(update={"given": (), "rounds": (said,)}), image, source)
    for to in ("png", "nifti", "coco"):
        with pytest.raises(InputError, match="no masks to export"):
            export(case, to, tmp_path / "out")
    export(case, "dialogue", tmp_path / "out")  # an honest refusal is worth learning from
    with pytest.raises(InputError, match="an answer draws nothing"):
        export(case, "official", tmp_path / "official")
    with pytest.raises(InputError):
        export(case, "official", tmp_path / "official", drop=True)
    assert not (tmp_path / "official" / "official.json").exists()


def test_a_coco_file_is_a_source_of_data(png: Path, tmp_path: Path, two: NDArray[np.bool_]) -> None:
    file, _ = export(case_of(png, two), "coco", tmp_path)
    source = CocoSource(file)
    (case,) = source.cases()
    (piece,) = case.slices()
    assert sorted(each.mask.sum() for each in piece.structures) == sorted(two.sum(axis=(1, 2)))


def test_a_saved_session_is_enough_and_its_image_is_proven(
    png: Path, tmp_path: Path, two: NDArray[np.bool_]
) -> None:
    case = case_of(png, two)
    case.stored.write(tmp_path / "case.mediround")
    moved = tmp_path / "moved.png"
    moved.write_bytes(png.read_bytes())
    other = tmp_path / "other.png"
    PillowImage.fromarray(np.zeros(SIZE, dtype=np.uint8)).save(other)
    for source in (None, moved):
        files = export_file(tmp_path / "case.mediround", "png", tmp_path / "out", source=source)
        assert (read_mask(files[0]) == two[0]).all()
    with pytest.raises(SessionFileError, match="another one.*--source IMAGE"):
        export_file(tmp_path / "case.mediround", "png", tmp_path / "out", source=other)
    lost = case.stored.model_copy(update={"image": str(tmp_path / "gone.png")})
    lost.write(tmp_path / "lost.mediround")
    with pytest.raises(SessionFileError, match="pass the image where it is now: --source IMAGE"):
        export_file(tmp_path / "lost.mediround", "png", tmp_path / "out")


def test_a_session_exports_itself(model: Model, tmp_path: Path) -> None:
    session: Session = model.open(np.random.default_rng(0).random((60, 72)))
    session.ask("Segment the nerve.", text="The nerve is [1].")
    drawn = np.zeros((60, 72), dtype=bool)
    drawn[3:9, 4:30] = True
    session.entities[1].replace(drawn)
    session.export("png", tmp_path / "out")
    assert (read_mask(tmp_path / "out" / "mask_1.png") == drawn).all()
    with pytest.raises(InputError, match="not about DICOM"):
        session.export("dicom-seg", tmp_path / "out")


def test_no_torch_is_needed() -> None:
    code = "import sys, mediround.session.export; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
