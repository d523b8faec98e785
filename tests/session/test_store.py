from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.errors import ImageFileError, InputError, OutputError, SessionFileError
from mediround.imaging import Image, Modality, Volume
from mediround.imaging.nifti import write_nifti
from mediround.session import Model, Session
from mediround.session.store import SessionFile

Pictures = Callable[[int], NDArray[np.float64]]
Square = NDArray[np.bool_]


def converse(session: Session, square: Square) -> Session:
    session.add_mask(square, name="liver")
    session.ask("Beside [1]", text="The spleen is [2] and the aorta is [3].")
    session.ask("And the brain?", text="There is no brain in this image.")
    session.entities[2].replace(~square)
    return session


@pytest.fixture
def file(tmp_path: Path, picture: Pictures) -> Path:
    path = tmp_path / "picture.png"
    PillowImage.fromarray((picture(0) * 100).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def saved(tmp_path: Path, model: Model, file: Path, square: Square) -> Path:
    converse(model.open(file), square).save(tmp_path / "case.mediround")
    return tmp_path / "case.mediround"


@pytest.fixture(scope="module")
def stored(model: Model, picture: Pictures) -> dict[str, Any]:
    """A written session of an array, as JSON."""
    square = np.zeros((60, 72), dtype=bool)
    square[20:40, 10:30] = True
    session = converse(model.open(picture(0)), square)
    content = SessionFile(
        image=None,
        image_sha256=session.image.content_hash,
        modality=Modality.UNKNOWN,
        model="tiny",
        weights_sha256="0" * 64,
        given=session.dialogue.given,
        rounds=session.dialogue.rounds,
    )
    loaded: dict[str, Any] = json.loads(content.model_dump_json())
    return loaded


def test_a_session_is_taken_up_where_it_was_left(model: Model, file: Path, saved: Path) -> None:
    session, resumed = model.open(file), model.resume(saved)
    converse(session, np.asarray(resumed.entities[1].mask))
    assert resumed.dialogue == session.dialogue
    assert resumed.image.content_hash == session.image.content_hash
    question = ("Between [1] and [3]", "It is [5].")
    mine = session.ask(question[0], text=question[1]).entities[0]
    theirs = resumed.ask(question[0], text=question[1]).entities[0]
    np.testing.assert_array_equal(mine.mask, theirs.mask)
    assert mine.score == pytest.approx(theirs.score, abs=1e-4)


def test_the_file_says_what_a_reader_needs(saved: Path, file: Path, model: Model) -> None:
    content = json.loads(saved.read_text())
    assert content["image"] == str(file)
    assert content["model"] == "talkative"
    assert content["weights_sha256"] == model.weights_sha256
    first = content["rounds"][0]
    assert first["query"] == "Beside [1]"
    assert first["text"] == "The spleen is [2] and the aorta is [3]."
    wanted = {"id", "name", "score", "mask", "box", "refers_to", "status"}
    assert wanted <= set(first["entities"][0])
    assert first["entities"][0]["status"] == "corrected"
    assert content["rounds"][1]["entities"][0]["status"] == "absent"


def test_a_moved_image_is_found_where_one_says(model: Model, file: Path, saved: Path) -> None:
    moved = file.rename(file.with_name("elsewhere.png"))
    with pytest.raises(SessionFileError, match="picture.png.*pass the image where it is now"):
        model.resume(saved)
    assert len(model.resume(saved, image=moved).turns) == 2
    with pytest.raises(ImageFileError):
        model.resume(saved, image=file)


def test_a_changed_image_is_refused(model: Model, file: Path, saved: Path) -> None:
    PillowImage.fromarray(np.zeros((60, 72), dtype=np.uint8)).save(file)
    with pytest.raises(SessionFileError, match="image of case.mediround has changed"):
        model.resume(saved)


def test_an_array_must_be_brought_again(
    model: Model, picture: Pictures, square: Square, tmp_path: Path
) -> None:
    path = tmp_path / "case"
    converse(model.open(picture(0)), square).save(path)
    with pytest.raises(SessionFileError, match="saved from an array; pass the pixels again"):
        model.resume(path)
    assert len(model.resume(path, image=picture(0)).entities) == 4
    with pytest.raises(SessionFileError, match="has changed"):
        model.resume(path, image=picture(1))


def test_a_slice_of_a_volume_is_found_again(model: Model, square: Square, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (9, 60, 72)).astype(np.int16)
    volume = Volume(voxels=voxels, affine=np.diag([2.0, 1.0, 1.0, 1.0]), modality=Modality.MR)
    write_nifti(tmp_path / "volume.nii.gz", voxels, volume)
    for image in (tmp_path / "volume.nii.gz", volume):
        session = model.open(image, slice=5, plane="sagittal", modality="MR")
        session.add_mask(np.ones(session.image.size, dtype=bool))
        session.save(tmp_path / "case")
        again = model.resume(tmp_path / "case", image=None if isinstance(image, Path) else image)
        assert again.source.slice == 5
        assert again.source.plane == "sagittal"
        assert again.image.content_hash == session.image.content_hash


def test_an_image_brought_again_keeps_its_unit(
    model: Model, picture: Pictures, tmp_path: Path
) -> None:
    image = Image(pixels=picture(0) * 1000 - 900, modality=Modality.CT, unit="HU")
    model.open(image).save(tmp_path / "case")
    assert model.resume(tmp_path / "case", image=image).image.unit == "HU"


def test_other_weights_are_noticed(
    make_model: Callable[[], Model], saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Model(make_model().network, "nano", "1" * 64)
    with caplog.at_level(logging.WARNING):
        other.resume(saved)
    assert "held with talkative and is taken up with nano" in caplog.text


def test_a_session_that_cannot_be_written_is_an_output_error(
    model: Model, picture: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(OutputError):
        model.open(picture(0)).save(tmp_path / "nowhere" / "case")


def read(content: object, folder: Path) -> SessionFile:
    path = folder / "case.mediround"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return SessionFile.read(path)


def test_what_was_written_is_read(stored: dict[str, Any], tmp_path: Path) -> None:
    assert json.loads(read(stored, tmp_path).model_dump_json()) == stored


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 9999, '{"format": 1}', "\0"])
def test_what_is_no_session_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(SessionFileError, match="case.mediround is not a session"):
        read(content, tmp_path)


def test_a_file_that_is_missing_a_folder_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionFileError, match="cannot be read"):
        SessionFile.read(tmp_path / "nowhere")
    with pytest.raises(SessionFileError, match="cannot be read"):
        SessionFile.read(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SessionFileError, match="not a session"):
        SessionFile.read(tmp_path / "binary")


def test_a_file_of_any_size_is_not_read(
    stored: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediround.session.store.LARGEST", 100)
    with pytest.raises(SessionFileError, match="too large; expected at most 100 bytes"):
        read(stored, tmp_path)


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("version",), 2, "version"),
        (("format",), "other", "format"),
        (("modality",), "PET", "modality"),
        (("plane",), "oblique", "plane"),
        (("extra",), 1, "extra"),
        (("given", 0, "id"), 7, "entity numbers"),
        (("given", 0, "mask", "counts"), "", "do not add up"),
        (("given", 0, "mask", "counts"), "oooooooooooo", "too long"),
        (("given", 0, "mask", "size"), [60, 71], "do not add up"),
        (("given", 0, "mask", "size"), [10**9, 10**9], "size"),
        (("given", 0, "status"), "absent", "absent"),
        (("rounds", 0, "query"), "Beside [3]", "round 1 refers to"),
        (("rounds", 0, "text"), "nothing", "brings the masks"),
        (("rounds", 0, "entities", 0, "score"), 7, "score"),
    ],
)
def test_what_is_wrong_with_a_session_is_said(
    stored: dict[str, Any], tmp_path: Path, where: tuple[Any, ...], value: object, said: str
) -> None:
    content = copy.deepcopy(stored)
    place: Any = content
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    with pytest.raises(SessionFileError, match=f"not a session: .*{said}"):
        read(content, tmp_path)


def test_masks_of_another_size_than_the_image_are_refused(
    model: Model, stored: dict[str, Any], picture: Pictures, tmp_path: Path
) -> None:
    content = copy.deepcopy(stored)
    content["given"][0]["mask"]["size"] = [72, 60]
    (tmp_path / "case").write_text(json.dumps(content))
    with pytest.raises(SessionFileError, match=r"mask \[1\] has the size \(72, 60\)"):
        model.resume(tmp_path / "case", image=picture(0))


VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just([])
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_spoilt_session_is_refused_or_a_session(
    stored: dict[str, Any], tmp_path: Path, model: Model, picture: Pictures, data: st.DataObject
) -> None:
    content = copy.deepcopy(stored)
    place: Any = content
    for _ in range(data.draw(st.integers(0, 5))):
        values = place.values() if isinstance(place, dict) else place
        inner = [value for value in values if isinstance(value, dict | list) and value]
        if not inner:
            break
        place = data.draw(st.sampled_from(inner))
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key = data.draw(st.sampled_from(keys))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(VALUES)
    path = tmp_path / "case"
    path.write_text(json.dumps(content))
    try:
        session = model.resume(path, image=picture(0))
    except SessionFileError as error:
        assert "\n" not in str(error)  # noqa: PT017  # both ways out are right
        return
    except InputError:  # a slice or modality that this image does not have
        assert key in ("slice", "plane")
        return
    for entity in session.entities.values():
        assert entity.mask is None or entity.mask.shape == (60, 72)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_flipped_bytes_are_refused_or_harmless(
    stored: dict[str, Any], tmp_path: Path, place: int, byte: int, cut: bool
) -> None:
    raw = bytearray(json.dumps(stored).encode())
    place %= len(raw)
    raw[place] = byte
    (tmp_path / "case").write_bytes(raw[:place] if cut else raw)
    try:
        found = SessionFile.read(tmp_path / "case")
    except SessionFileError:
        return
    assert len(found.rounds) == 2
