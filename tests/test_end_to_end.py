"""The real default model on a real CT and a real brain: what needs weights and samples."""

import dataclasses

import nibabel
import numpy as np
import pytest
from nibabel.processing import resample_from_to

import mediround
from mediround import weights
from mediround.cli.sample import LabelledVolume, dice
from mediround.imaging import Volume, open_image
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


def test_a_dialogue_about_a_real_brain(model: Model) -> None:
    """It never saw an image of one: the parcellation learned from label maps."""
    folder = weights.path("sample-brain")
    file, atlas = folder / "MNI152_T1_1mm_brain.nii.gz", folder / "atlas_desikan_killiany.nii.gz"
    labels = resample_from_to(nibabel.load(atlas), nibabel.load(file), order=0)
    volume = open_image(file)
    assert isinstance(volume, Volume)
    values = {"left putamen": 12, "right putamen": 51, "left thalamus": 10, "right thalamus": 49}
    sample = LabelledVolume(file, volume, np.asarray(labels.dataobj), values)
    index = sample.best_slice(list(values))
    session = model.open(volume, slice=index, plane="axial")

    session.ask("Please outline the left putamen.")
    session.ask("Please mark the counterpart of [1] on the other side.")
    session.ask("And where is the thalamus?")

    for entity, name in zip(session.entities.values(), values, strict=True):
        assert entity.name == name
        assert entity.mask is not None
        assert dice(entity.mask, sample.truth(name, index)) > 0.6, name
    (absent,) = session.ask("Show me the liver.").entities
    assert absent.mask is None


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


@pytest.mark.parametrize(
    ("question", "relation"),
    [
        ("Mask needed for whatever sits at the rear of [4].", "behind"),
        ("Would you colour in the left-hand neighbour of outline [2]?", "left_of"),
        ("Which pixels belong to the more extensive one, given [3] and [1]?", "larger_of"),
        ("Any chance you could spot the one that completes the pair begun by [2]?", "counterpart"),
    ],
)
def test_words_that_training_never_used_are_understood(
    model: Model, question: str, relation: str
) -> None:
    assert model.network.asked(question)[relation] > 0.8


def test_what_is_meant_follows_from_the_masks(model: Model, sample: LabelledVolume) -> None:
    """The larger of two masks is measured, whatever the language model thinks of it."""
    wanted = ["right kidney", "liver"]
    index = sample.best_slice(wanted)
    session = model.open(sample.volume, slice=index, plane="axial")
    masks = [sample.truth(name, index) for name in wanted]
    for mask in masks:
        session.add_mask(mask)
    for word, mask in (("more", masks[1]), ("less", masks[0])):
        (entity,) = session.ask(f"Outline the {word} extensive one, given [1] and [2].").entities
        assert entity.mask is not None
        assert np.array_equal(entity.mask, mask)


@pytest.mark.parametrize("size", [(180, 240), (512, 512)])
def test_a_box_gives_the_structure_in_it(model: Model, size: tuple[int, int]) -> None:
    """A bright disc on noise, enclosed loosely: the disc, not the rectangle."""
    y, x = np.mgrid[: size[0], : size[1]]
    radius, row, column = size[0] / 8, size[0] * 0.45, size[1] * 0.6
    disc = (y + 0.5 - row) ** 2 + (x + 0.5 - column) ** 2 < radius**2
    noise = np.random.default_rng(0).normal(70, 12, size)
    session = model.open(np.clip(noise + 110 * disc, 0, 255).astype(np.uint8))
    reach = radius * 1.12
    box = (column - reach, row - reach, column + reach, row + reach)
    found, filled = (session.add_box(box, fit=fit).mask for fit in ("structure", "rectangle"))
    assert found is not None
    assert filled is not None
    assert dice(found, disc) > 0.85 > dice(filled, disc)
    turn = session.ask("What is [1]?")
    assert turn.text


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
