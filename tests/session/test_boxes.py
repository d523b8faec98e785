"""Boxes of a person in a session: what is found in them, and where it lies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.boxes import Filler, boxy
from torch import Tensor

from mediround.errors import InputError
from mediround.geometry import Box, box_to_mask, mask_to_box
from mediround.imaging import Volume
from mediround.model.box_prompt import BoxMasks, BoxPrompt
from mediround.model.view import CanvasView
from mediround.session import Model, Session
from mediround.session.boxes import box_in_image

Pictures = Callable[[int], NDArray[np.float64]]
SIZE = (60, 72)


@pytest.fixture
def model() -> Iterator[Model]:
    """Takes boxes; with tiny random weights."""
    with boxy() as network:
        yield Model(network, "boxy", "0" * 64)


@pytest.fixture
def exact(model: Model, monkeypatch: pytest.MonkeyPatch) -> Model:
    """Finds exactly what the box covers on the canvas."""
    filler = Filler(64)
    monkeypatch.setattr(BoxPrompt, "beside", lambda _network: filler)
    return model


def held(model: Model, picture: Pictures) -> Session:
    return model.open(picture(0))


def test_a_box_becomes_an_entity_like_any_other(
    exact: Model, picture: Pictures, tmp_path: Path
) -> None:
    session = held(exact, picture)
    entity = session.add_box((10, 20, 30, 44), "liver")
    assert (entity.id, entity.name, entity.status, entity.score) == (1, "liver", "given", None)
    assert list(entity.box_prompt or ()) == [10, 20, 30, 44]
    assert entity.mask is not None
    assert entity.mask.shape == SIZE
    session.ask("Now what lies beside [1]?", text="It is [2].")
    session.entities[1].rename("spleen")
    before = session.dialogue
    session.save(tmp_path / "case.mediround")
    resumed = exact.resume(tmp_path / "case.mediround", image=picture(0))
    assert resumed.dialogue == before
    for _ in range(3):
        assert session.undo()
    assert len(session.entities) == 0
    for _ in range(3):
        assert session.redo()
    assert session.dialogue == before
    session.entities[1].replace(entity.mask)
    assert session.entities[1].box_prompt is None, "what was corrected by hand came from no box"
    assert session.entities[1].status == "given"


@pytest.fixture(scope="module")
def filling() -> Model:
    """As ``exact``; one for all examples of a property."""
    with boxy() as network:
        model: Any = Model(network, "boxy", "0" * 64)
    model._boxes = Filler(64)  # a patched class would last as long as this module
    return cast(Model, model)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_what_a_box_covers_comes_back_in_its_place(filling: Model, data: st.DataObject) -> None:
    height, width = data.draw(st.integers(40, 200)), data.draw(st.integers(40, 200))
    x0, y0 = data.draw(st.floats(0, width - 12)), data.draw(st.floats(0, height - 12))
    x1, y1 = data.draw(st.floats(x0 + 12, width)), data.draw(st.floats(y0 + 12, height))
    box = Box(x0, y0, x1, y1)
    pixels = np.random.default_rng(0).integers(1, 255, (height, width), dtype=np.uint8)
    mask = filling.open(pixels).add_box(box.corners).mask
    assert mask is not None
    found = mask_to_box(mask)
    assert found is not None
    cell = max(height, width) / 64
    for there, here in zip(found.corners, box.corners, strict=True):
        assert abs(there - here) <= cell / 2 + 1
    assert min(found.x0 - box.x0, found.y0 - box.y0) >= -0.5
    assert max(found.x1 - box.x1, found.y1 - box.y1) <= 0.5


def test_of_a_body_beside_air_the_place_is_the_body_s(exact: Model) -> None:
    """The canvas shows the crop round the body: the way back must know of it."""
    pixels = np.zeros((200, 240), np.uint8)
    pixels[60:160, 100:220] = np.random.default_rng(1).integers(80, 250, (100, 120))
    session = exact.open(pixels)
    view = exact.encode(session.image).view
    assert isinstance(view, CanvasView)
    assert view.placement.crop.width < 150, "the phantom has no air"
    box = Box(130, 80, 190, 130)
    mask = session.add_box(box.corners).mask
    assert mask is not None
    expected = box_to_mask(box, (200, 240))
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.95
    placed = view.corners(box) * view.placement.canvas
    back = view.placement.box_to_source(Box(*(float(each) for each in placed.reshape(4))))
    assert back.corners == pytest.approx(box.corners, abs=1e-3)
    with pytest.raises(InputError, match="beside the body"):
        session.add_box((2, 2, 40, 40))
    assert len(session.entities) == 1


def test_a_box_in_a_slice_of_a_volume(exact: Model, tmp_path: Path) -> None:
    voxels = np.random.default_rng(2).integers(1, 255, (40, 50, 6)).astype(np.int16)
    session = exact.open(Volume(voxels=voxels, affine=np.eye(4)), slice=2)
    entity = session.add_box((8, 8, 30, 30))
    assert entity.mask is not None
    assert entity.mask.shape == session.image.size
    written, *_ = session.export("nifti", tmp_path / "found.nii.gz")
    whole = np.asarray(nibabel.nifti1.load(written).dataobj) > 0
    assert whole.sum() == entity.mask.sum()
    assert set(np.nonzero(whole)[2]) == {2}


def test_the_image_is_not_encoded_again(
    exact: Model, picture: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = held(exact, picture)
    trunk = exact.encode(session.image).features.trunk
    monkeypatch.setattr(exact.network.segmenter, "trunk", None)
    session.add_box((10, 20, 30, 44))
    filler: Any = exact._boxes
    assert filler.asked[0] is trunk


def test_the_published_parts_are_loaded_once_and_when_they_are_needed(
    model: Model, picture: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    def beside(network: object) -> Filler:
        loaded.append(network)
        return Filler(64)

    monkeypatch.setattr(BoxPrompt, "beside", beside)
    sessions = [held(model, picture) for _ in range(3)]
    sessions[0].add_box((10, 20, 30, 44), fit="rectangle")
    assert not loaded
    threads = [threading.Thread(target=s.add_box, args=((10, 20, 30, 44),)) for s in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1
    assert [len(each.entities) for each in sessions] == [2, 1, 1]


def test_what_a_real_decoder_finds_lies_in_the_box(
    model: Model, picture: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, box = held(model, picture), Box(10, 12, 50, 48)
    drawn = BoxPrompt.forward

    def half(self: BoxPrompt, trunk: Tensor, boxes: Tensor) -> BoxMasks:
        found = drawn(self, trunk, boxes)  # of random weights: half of the canvas
        return BoxMasks(found.logits - found.logits.median(), found.iou)

    monkeypatch.setattr(BoxPrompt, "forward", half)
    mask = session.add_box(box.corners).mask
    assert mask is not None
    assert not (mask & ~box_to_mask(box, SIZE)).any()
    monkeypatch.setattr(
        BoxPrompt, "forward", lambda *_: BoxMasks(-torch.ones(1, 64, 64), torch.ones(1))
    )
    with pytest.raises(InputError, match="nothing was found in the box"):
        session.add_box(box.corners)
    assert len(session.entities) == 1


BAD = [
    ((30, 20, 10, 44), "inverted"),
    ((10, 20, 10, 44), "empty"),
    ((float("nan"), 20, 30, 44), "finite"),
    ((0, 0, float("inf"), 44), "finite"),
    ((0, 0, 44), "four"),
    ((200, 200, 220, 220), "outside"),
    ((-20, -20, 0, 0), "outside"),
]


@pytest.mark.parametrize("fit", ["structure", "rectangle"])
@pytest.mark.parametrize(("box", "why"), BAD)
def test_a_bad_box_is_refused_and_changes_nothing(
    exact: Model, picture: Pictures, box: tuple[float, ...], why: str, fit: str
) -> None:
    session = held(exact, picture)
    with pytest.raises(InputError, match=why):
        session.add_box(box, fit=fit)  # type: ignore[arg-type]
    assert len(session.entities) == 0
    assert not session.undo()


def test_one_pixel_is_a_rectangle_and_no_structure(exact: Model, picture: Pictures) -> None:
    session = held(exact, picture)
    with pytest.raises(InputError, match=r"1 x 1 pixels; expected at least 2 x 2"):
        session.add_box((10, 20, 11, 21))
    mask = session.add_box((10, 20, 11, 21), fit="rectangle").mask
    assert mask is not None
    assert mask.sum() == 1


def test_a_box_over_the_edge_is_cut(exact: Model, picture: Pictures) -> None:
    assert box_in_image((-5, 10, 200, 30), SIZE).corners == (0, 10, 72, 30)
    entity = held(exact, picture).add_box((-5, 10, 200, 30))
    assert list(entity.box_prompt or ()) == [0, 10, 72, 30]


def test_a_model_that_cannot_says_so_and_takes_rectangles(
    make_model: Callable[[], Model], picture: Pictures
) -> None:
    session = held(make_model(), picture)
    with pytest.raises(InputError, match=r"cannot find a structure in a box.*rectangle"):
        session.add_box((10, 20, 30, 40))
    entity = session.add_box((10, 20, 30, 40), fit="rectangle")
    assert list(entity.box or ()) == [10, 20, 30, 40]
    assert entity.box_prompt is None, "nothing was found: it is the box itself"
