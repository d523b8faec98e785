"""The files of a session: masks in their own geometry, pictures, nothing left from before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediround.imaging import Volume, open_image
from mediround.imaging.raster import read_mask
from mediround.session import Model, Session, load
from mediround.session.results import (
    mask_file,
    picture,
    prepare_folder,
    write_results,
    write_round,
)


@pytest.fixture(scope="module")
def model() -> Model:
    return load("tiny")


@pytest.fixture
def session(model: Model) -> Session:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    session = model.open(pixels, modality="US")
    session.ask("Segment the nerve.", text="The nerve is [1].")
    session.ask("What lies beside [1]?", text="The blood vessel is [2].")
    session.ask("And a kidney?", text="There is no left kidney in this image.")
    return session


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_rounds_are_written_as_they_come(session: Session, tmp_path: Path) -> None:
    write_round(session, 1, tmp_path)
    assert names(tmp_path) == {"mask_1.png", "overlay_1.png", "overlay.png", "session.json"}
    write_round(session, 2, tmp_path)
    write_round(session, 3, tmp_path)
    overlays = {f"overlay_{number}.png" for number in (1, 2, 3)}
    assert names(tmp_path) == {
        "mask_1.png", "mask_2.png", "overlay.png", "session.json", *overlays
    }  # fmt: skip
    for number in (1, 2):
        mask = session.entities[number].mask
        assert mask is not None
        assert (read_mask(tmp_path / f"mask_{number}.png") == mask).all()


def test_masks_without_a_question_are_written_too(model: Model, tmp_path: Path) -> None:
    session = model.open(np.zeros((32, 32), dtype=np.uint8))
    mask = np.zeros((32, 32), dtype=bool)
    mask[4:9, 5:20] = True
    session.add_mask(mask, "nerve")
    write_results(session, tmp_path)
    assert (read_mask(tmp_path / "mask_1.png") == mask).all()
    assert names(tmp_path) == {"mask_1.png", "overlay.png", "session.json"}


def test_a_volume_s_mask_lies_in_its_own_grid(model: Model, tmp_path: Path) -> None:
    affine = np.array([[-2.0, 0, 0, 5], [0, 0, 3.0, 6], [0, 1.5, 0, 7], [0, 0, 0, 1]])
    voxels = np.random.default_rng(3).normal(size=(20, 9, 16)).astype(np.float32)
    session = model.open(Volume.from_array(voxels, affine=affine), slice=4, plane="axial")
    turn = session.ask("Segment the liver.", text="The liver is [1].")
    write_round(session, 1, tmp_path)
    assert mask_file(session, 1) == "mask_1.nii.gz"
    stored = open_image(tmp_path / "mask_1.nii.gz")
    assert isinstance(stored, Volume)
    assert np.allclose(stored.affine, affine)
    assert stored.voxels.shape == voxels.shape
    mask = turn.entities[0].mask
    assert mask is not None
    assert (stored.take(stored.voxels, 4) == mask).all()
    assert stored.voxels.sum() == mask.sum()


def test_a_round_s_picture_shows_its_answer_and_what_it_refers_to(model: Model) -> None:
    session = model.open(np.full((64, 64), 9, dtype=np.uint8))
    for top in (4, 40):
        mask = np.zeros((64, 64), dtype=bool)
        mask[top : top + 16, 20:40] = True
        session.add_mask(mask)
    bare = picture(model.open(np.full((64, 64), 9, dtype=np.uint8)))
    everything = (picture(session) != bare).any(axis=2)
    turn = session.ask("What is [2]?", text="There is no nerve in this image.")
    shown = (picture(session, turn) != bare).any(axis=2)
    assert everything[64:320, 320:640].mean() > 0.9
    assert everything[640:896, 320:640].mean() > 0.9
    assert not shown[64:320, 320:640].any()
    assert 0 < shown[640:896, 320:640].mean() < 0.5


def test_an_earlier_session_s_files_go_and_others_stay(session: Session, tmp_path: Path) -> None:
    own = ["mask_7.png", "mask_8.nii.gz", "overlay_9.png"]
    kept = ["mask_left.png", "mask_1.txt", "notes.md"]
    for name in (*own, *kept):
        (tmp_path / name).write_text("x")
    assert prepare_folder(tmp_path) == tmp_path
    assert names(tmp_path) == {*own, *kept}  # no session lies there: nothing here is ours
    session.save(tmp_path / "session.json")
    prepare_folder(tmp_path)
    assert names(tmp_path) == {*kept, "session.json"}
