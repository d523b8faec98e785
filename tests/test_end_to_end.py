"""The real default model on a real CT: the one test that needs weights and a sample."""

import dataclasses

import numpy as np
import pytest

import mediround
from mediround import weights
from mediround.cli.sample import LabelledVolume, dice
from mediround.session import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return mediround.load("nano", device="cpu")


@pytest.fixture(scope="module")
def sample() -> LabelledVolume:
    return LabelledVolume.read(weights.path("sample-ct"))


def test_a_dialogue_about_a_real_ct(model: Model, sample: LabelledVolume) -> None:
    wanted = ["right kidney", "left kidney", "liver", "stomach"]
    index = sample.best_slice(wanted)
    session = model.open(sample.volume, slice=index, plane="axial")

    turns = [
        session.ask("Segment the right kidney."),
        session.ask("Please mark the counterpart of [1] on the other side."),
        session.ask("Show me the liver."),
        session.ask("Now segment the stomach."),
    ]

    for turn, name in zip(turns, wanted, strict=True):
        (entity,) = turn.entities
        assert entity.name == name, turn.text
        assert entity.mask is not None
        assert entity.score is not None
        assert entity.mask.shape == session.image.size
        assert dice(entity.mask, sample.truth(name, index)) > 0.6, name
    assert turns[1].entities[0].refers_to == (1,)


def test_the_reference_decides_and_not_the_words(model: Model, sample: LabelledVolume) -> None:
    """Same words, another given mask, another right answer."""
    wanted = ["right kidney", "left kidney"]
    index = sample.best_slice(wanted)
    for given, meant in (wanted, wanted[::-1]):
        session = model.open(sample.volume, slice=index, plane="axial")
        session.add_mask(sample.truth(given, index))
        turn = session.ask("Segment the counterpart of [1]. Do not name it.")
        (entity,) = turn.entities
        assert entity.mask is not None
        right, wrong = (dice(entity.mask, sample.truth(name, index)) for name in (meant, given))
        assert right > 0.5 > wrong


def test_orientation_is_the_volumes_and_not_the_files(model: Model, sample: LabelledVolume) -> None:
    """A volume stored with a reversed axis shows the same picture and gives the same mask."""
    index = sample.best_slice(["liver"])
    volume = sample.volume
    flipped = dataclasses.replace(
        volume,
        voxels=volume.voxels[::-1],
        affine=volume.affine @ np.diag([-1.0, 1, 1, 1]) @ _shift(volume.voxels.shape[0] - 1),
    )
    one, other = (
        model.open(each, slice=index, plane="axial").ask("Segment the liver.")
        for each in (volume, flipped)
    )
    drawn, expected = other.entities[0].mask, one.entities[0].mask
    assert drawn is not None
    assert expected is not None
    assert np.array_equal(drawn, expected)


def _shift(steps: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = -steps
    return matrix
