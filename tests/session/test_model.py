from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mediround
from mediround.errors import InputError, ModelNotFoundError
from mediround.imaging import Image, Modality
from mediround.model.mediround import ImageFeatures
from mediround.session import Model
from mediround.session.model import KEPT_IMAGES

Pictures = Callable[[int], NDArray[np.float64]]


@pytest.fixture
def counted(
    make_model: Callable[[], Model], monkeypatch: pytest.MonkeyPatch
) -> tuple[Model, list[None]]:
    """A model, and one entry for each image that it has encoded."""
    model, calls = make_model(), list[None]()
    original = model.network.see

    def see(*pixels: torch.Tensor) -> ImageFeatures:
        calls.append(None)
        return original(*pixels)

    monkeypatch.setattr(model.network, "see", see)
    return model, calls


def test_an_image_is_encoded_once(counted: tuple[Model, list[None]], picture: Pictures) -> None:
    model, calls = counted
    session = model.open(picture(0))
    session.ask("Segment the liver.", text="It is [1].")
    session.ask("Beside [1]", text="It is [2].")
    model.open(picture(0).copy()).ask("Spleen?", text="no")
    assert len(calls) == 1
    model.open(picture(1))
    assert len(calls) == 2


def test_the_same_numbers_with_another_meaning_are_another_image(
    counted: tuple[Model, list[None]], picture: Pictures
) -> None:
    model, calls = counted
    pixels = picture(0) * 100
    model.open(Image(pixels=pixels, modality=Modality.CT, unit="HU"))
    model.open(Image(pixels=pixels, modality=Modality.CT))
    model.open(pixels, modality="MR")
    assert len(calls) == 3


def test_an_image_opened_from_many_threads_is_encoded_once(
    counted: tuple[Model, list[None]], picture: Pictures
) -> None:
    model, calls = counted
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: model.open(picture(0)), range(4)))
    assert len(calls) == 1
    assert len({session.image.content_hash for session in sessions}) == 1


def test_only_the_images_used_last_are_remembered(
    counted: tuple[Model, list[None]], picture: Pictures
) -> None:
    model, calls = counted
    for seed in range(KEPT_IMAGES):
        model.open(picture(seed))
    model.open(picture(0))
    assert len(calls) == KEPT_IMAGES
    model.open(picture(KEPT_IMAGES))
    model.open(picture(0))
    assert len(calls) == KEPT_IMAGES + 1
    model.open(picture(1))
    assert len(calls) == KEPT_IMAGES + 2


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8)),
        np.full((9, 200), 7, dtype=np.uint8),
        np.arange(64, dtype=np.int16).reshape(8, 8) * -100,
        np.random.default_rng(0).random((40, 30, 3)),
        np.eye(300, 9, dtype=bool),
    ],
)
def test_any_picture_can_be_talked_about(model: Model, pixels: NDArray[Any]) -> None:
    turn = model.open(pixels).ask("Segment the liver.", text="It is [1].")
    mask = turn.entities[0].mask
    assert mask is not None
    assert mask.shape == pixels.shape[:2]


def test_the_package_opens_the_door() -> None:
    model = mediround.load("tiny", device="cpu")
    assert model.name == "tiny"
    assert len(model.weights_sha256) == 64
    with pytest.raises(ModelNotFoundError):
        mediround.load("no such model")
    with pytest.raises(InputError):
        model.open(np.zeros((20, 20)), modality="telepathy")
