from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from mediround.data.sources import Case, LabelVolumeSource, PictureMaskSource, SynthesisedSource
from mediround.data.sources.volume_case import LabelVolumeCase
from mediround.data.synthesis.contrast import draw_contrast
from mediround.data.synthesis.field import SmoothField
from mediround.data.synthesis.volume import SynthesisSettings, SyntheticVolume, generator
from mediround.errors import ConfigError, DatasetError
from mediround.imaging import Edges, Image, Modality, Volume

NAMES = {
    2: "left cerebral white matter",
    41: "right cerebral white matter",
    4: "left lateral ventricle",
}
SIZE = 40

STILL = SynthesisSettings(
    rotation=0, scaling=0, shear=0, elastic=0, bias=0, noise=0, texture=0, gamma=0, step=1,
    resolution=(0.2, 0.2), thickness=(1, 1),
)  # fmt: skip
"""Nothing moves, nothing is noisy: what comes out is the label map in gray values."""


def head() -> NDArray[np.uint16]:
    """A ball whose left half is label 2 and right half 41, with a ventricle in the left half.

    Axes grow towards the left, the inferior and the anterior side, as in whole-head label maps.
    """
    i, j, k = np.mgrid[:SIZE, :SIZE, :SIZE]
    ball = (i - 19.5) ** 2 + (j - 19.5) ** 2 + (k - 19.5) ** 2 < 17**2
    labels = np.where(ball, np.where(i >= 20, 2, 41), 0)
    labels[24:30, 16:24, 12:26] = 4
    return labels.astype(np.uint16)


AFFINE = np.array([[-1, 0, 0, 20], [0, 0, 1, -20], [0, -1, 0, 20], [0, 0, 0, 1]], dtype=float)


@pytest.fixture
def volume() -> Volume:
    return Volume(voxels=head(), affine=AFFINE, modality=Modality.OTHER)


@pytest.fixture
def source(tmp_path: Path) -> LabelVolumeSource:
    folder = tmp_path / "heads"
    folder.mkdir()
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(head(), AFFINE), folder / f"{name}.nii.gz")
    (folder / "names.txt").write_text("\n".join(f"{n} {name}" for n, name in NAMES.items()))
    return LabelVolumeSource(folder)


def both(made: SyntheticVolume, index: int = 19) -> tuple[Image, NDArray[Any]]:
    return made.image_on(index), made.labels_on(index)


def digest(source: SynthesisedSource) -> str:
    found = hashlib.sha256()
    for case in source.cases():
        for each in case.slices():
            found.update(each.name.encode() + each.image.pixels.tobytes())
            for structure in each.structures:
                found.update(structure.entity.encode() + structure.mask.tobytes())
    return found.hexdigest()


# ----------------------------------------------------------------------------- the label map


def test_without_motion_the_labels_come_back_as_they_are(volume: Volume) -> None:
    for plane in ("axial", "coronal", "sagittal"):
        made = SyntheticVolume(volume, NAMES, STILL, ("s",), plane)
        assert list(made.indices()) == list(range(SIZE))
        for index in (3, 17, 33):
            image, labels = made.image_on(index), made.labels_on(index)
            np.testing.assert_array_equal(labels, volume.take(volume.voxels, index, plane))
            assert image.size == labels.shape
            assert image.directions == volume.slice(index, plane).directions


def test_an_axial_slice_shows_the_patients_right_first(volume: Volume) -> None:
    image, labels = both(SyntheticVolume(volume, NAMES, STILL, ("s",)))
    assert image.directions == Edges(left="R", right="L", top="A", bottom="P")
    a = head()
    np.testing.assert_array_equal(labels, a[:, 19, ::-1].T)
    columns = {value: np.argwhere(labels == value)[:, 1].mean() for value in (2, 41)}
    assert columns[41] < SIZE / 2 < columns[2]


def test_every_tissue_has_one_brightness_when_nothing_disturbs_it(volume: Volume) -> None:
    image, labels = both(SyntheticVolume(volume, NAMES, STILL, ("s",)))
    core = {}
    for value in (0, 2, 4, 41):
        inside = labels == value
        for shift in (-2, -1, 1, 2):
            inside &= np.roll(labels, shift, 0) == value
            inside &= np.roll(labels, shift, 1) == value
        core[value] = {int(gray) for gray in image.pixels[inside]}
    assert all(len(grays) == 1 for grays in core.values())
    assert core[2] == core[41], "both sides are one tissue"
    assert max(core[0]) < 10, "air is dark"
    assert core[2] != core[4]


def test_labels_and_image_are_deformed_together(volume: Volume) -> None:
    moving = SynthesisSettings(
        rotation=20, elastic=3, noise=0, bias=0, texture=0, thickness=(1, 1), resolution=(0.2, 0.2)
    )
    made = SyntheticVolume(volume, NAMES, moving, ("seed",))
    image, labels = made.image_on(19), made.labels_on(19)
    assert not np.array_equal(labels, volume.take(volume.voxels, 19))
    means = {value: float(image.pixels[labels == value].mean()) for value in (0, 2, 4, 41)}
    for value, mean in means.items():
        spread = image.pixels[labels == value].std()
        assert spread < 30, (value, mean, spread)
    assert abs(means[2] - means[4]) > 20
    assert set(np.unique(labels)) <= {0, 2, 4, 41}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_structures_keep_their_size_and_side(seed: int) -> None:
    volume = Volume(voxels=head(), affine=AFFINE, modality=Modality.OTHER)
    made = SyntheticVolume(volume, NAMES, SynthesisSettings(), (seed,))
    labels = np.stack([made.labels_on(index) for index in made.indices()])
    share = (labels > 0).mean() / (volume.voxels > 0).mean()
    assert 0.6 < share < 1.65  # scale and bending in three directions add up
    where = {value: np.argwhere(labels == value)[:, 2].mean() for value in (2, 41)}
    assert where[41] + 5 < where[2], "the right side stays on the left of the picture"


def test_thin_stacks_stay_in_their_plane(volume: Volume) -> None:
    few = head()[:, 18:21]
    thin = Volume(voxels=few, affine=AFFINE, modality=Modality.OTHER)
    wild = SynthesisSettings(rotation=40, elastic=4, thickness=(5, 5), step=1)
    made = SyntheticVolume(thin, NAMES, wild, ("s",))
    for index in made.indices():
        image, labels = made.image_on(index), made.labels_on(index)
        assert (labels > 0).mean() > 0.3
        bright = image.pixels[labels > 0]
        assert np.median(bright) > 10, "what lies beyond the stack is not air"


def test_a_background_of_tissues_is_not_dark(volume: Volume) -> None:
    within = SynthesisSettings(background_tissues=6, noise=0)
    image, labels = both(SyntheticVolume(volume, NAMES, within, ("s",)))
    air, _ = both(SyntheticVolume(volume, NAMES, SynthesisSettings(noise=0), ("s",)))
    corner = image.pixels[:8, :8]
    assert np.median(image.pixels[labels == 0]) > 30
    assert np.median(air.pixels[:8, :8]) < 15
    assert np.median(corner) > 15


# ------------------------------------------------------------------------------- determinism


def test_equal_seeds_give_equal_bytes_and_others_do_not(source: LabelVolumeSource) -> None:
    first = digest(SynthesisedSource(source, seed=5))
    assert digest(SynthesisedSource(source, seed=5)) == first
    assert digest(SynthesisedSource(source, seed=6)) != first


def test_a_slice_does_not_depend_on_those_before_it(volume: Volume) -> None:
    made = SyntheticVolume(volume, NAMES, SynthesisSettings(), (1,))
    in_order = {index: made.image_on(index).pixels for index in made.indices()}
    alone = SyntheticVolume(volume, NAMES, SynthesisSettings(), (1,))
    last = max(in_order)
    np.testing.assert_array_equal(alone.image_on(last).pixels, in_order[last])


def test_another_process_makes_the_same_bytes(source: LabelVolumeSource) -> None:
    code = (
        "import sys, hashlib\n"
        "from pathlib import Path\n"
        "from mediround.data.sources import LabelVolumeSource, SynthesisedSource\n"
        "source = SynthesisedSource(LabelVolumeSource(Path(sys.argv[1])), seed=5)\n"
        "for each in next(source.cases()).slices():\n"
        "    print(each.name, each.image.content_hash)"
    )
    arguments = [sys.executable, "-c", code, str(source.folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    here = next(SynthesisedSource(source, seed=5).cases()).slices()
    expected = [f"{each.name} {each.image.content_hash}" for each in here]
    assert done.stdout.splitlines() == expected


def test_cases_and_repetitions_differ(source: LabelVolumeSource) -> None:
    made = SynthesisedSource(source, repetitions=2)
    cases = list(made.cases())
    assert [case.name for case in cases] == ["a_v1", "a_v2", "b_v1", "b_v2"]
    assert [case.patient for case in cases] == ["a", "a", "b", "b"]
    middles = [list(case.slices())[5].image.content_hash for case in cases]
    assert len(set(middles)) == 4


def test_generators_differ_by_each_name() -> None:
    drawn = {float(generator(*names).random()) for names in ((1, "a"), (1, "b"), (2, "a"), ("1a",))}
    assert len(drawn) == 4


# ------------------------------------------------------------------------------------ source


def test_a_source_of_synthetic_slices(source: LabelVolumeSource) -> None:
    made = SynthesisedSource(source)
    assert (made.name, made.entities) == (source.name, source.entities)
    assert made.modality is Modality.MR
    shown = [each for case in made.cases() for each in case.slices()]
    assert shown
    for each in shown:
        assert each.synthetic
        assert each.oriented
        assert each.image.modality is Modality.MR
        assert each.image.pixels.dtype == np.uint8
        assert each.structures
    assert len({each.name for each in shown}) == len(shown)


def test_a_source_of_pictures_cannot_be_synthesised(tmp_path: Path) -> None:
    from PIL import Image as PillowImage

    for path in ("images/a.png", "masks/a_liver.png"):
        (tmp_path / path).parent.mkdir()
        PillowImage.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / path)
    with pytest.raises(DatasetError, match="is no label volume"):
        list(SynthesisedSource(PictureMaskSource(tmp_path)).cases())


def test_a_damaged_label_map_is_a_bad_case(source: LabelVolumeSource) -> None:
    from mediround.data.sources import BadCase, readable

    (source.folder / "a.nii.gz").write_bytes(b"nothing")
    bad: list[BadCase] = []
    shown = list(readable(SynthesisedSource(source).cases(), bad.append))
    assert {each.patient for each in shown} == {"b"}
    assert [each.case for each in bad] == ["a"]
    assert "a.nii.gz" in bad[0].reason


def test_label_volumes_without_image_say_what_to_do(source: LabelVolumeSource) -> None:
    case = next(source.cases())
    assert isinstance(case, LabelVolumeCase)
    with pytest.raises(DatasetError, match="a.nii.gz has no image.*synthesise one"):
        list(case.slices())


def test_slices_are_made_one_at_a_time(source: LabelVolumeSource) -> None:
    case: Case = next(SynthesisedSource(source).cases())
    slices: Iterator[Any] = case.slices()
    first = next(slices)
    assert first.name.startswith("a_")
    slices.close()  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------- contrast


def test_paired_and_fluid_labels_share_a_brightness() -> None:
    names = {**NAMES, 43: "right lateral ventricle", 14: "third ventricle"}
    values = (0, 2, 41, 4, 43, 14, 24, 25, 57, 507)
    for seed in range(20):
        drawn = draw_contrast(values, names, generator(seed), familiar_share=0.5, texture=0.1)
        mean = dict(zip(values, drawn.means.tolist(), strict=True))
        assert mean[2] == mean[41]
        assert mean[4] == mean[43] == mean[14] == mean[24]
        assert mean[25] == mean[57]
        assert mean[0] <= 0.02
        assert all(0.02 < mean[value] <= 1 for value in values[1:])
        assert (drawn.deviations <= 0.1).all()


def test_a_stripped_head_shows_the_brain_alone() -> None:
    values = (0, 2, 24, 507, -1)
    names = {2: "left cerebral white matter"}
    found = set()
    for seed in range(30):
        drawn, plain = (
            draw_contrast(
                values, names, generator(seed), familiar_share=0.5, texture=0.1, stripped_share=s
            )
            for s in (0.5, 0.0)
        )
        assert drawn.means[1:3].tolist() == plain.means[1:3].tolist()
        dark = drawn.means == drawn.means[0]
        assert (drawn.deviations[dark] == 0).all()
        found.add(tuple(dark.tolist()))
        assert drawn.stripped == (dark.sum() > 1)
        assert not drawn.stripped or drawn.means[0] == 0
    assert found == {(True, False, False, True, True), (True, False, False, False, False)}


def test_nothing_of_the_scanner_is_left_round_a_stripped_brain(volume: Volume) -> None:
    noisy = dataclasses.replace(STILL, noise=0.04, stripped_share=1.0)
    image, labels = both(SyntheticVolume(volume, NAMES, noisy, ("s",)))
    assert (image.pixels[labels == 0] == 0).all()
    assert (image.pixels[labels > 0] > 0).mean() > 0.99
    whole, _ = both(
        SyntheticVolume(volume, NAMES, dataclasses.replace(noisy, stripped_share=0), ("s",))
    )
    assert (whole.pixels[labels == 0] > 0).mean() > 0.5


def test_familiar_contrasts_have_the_order_of_t1_or_t2() -> None:
    names = {
        2: "left cerebral white matter",
        3: "left cerebral cortex",
        4: "left lateral ventricle",
    }
    orders = set()
    for seed in range(30):
        drawn = draw_contrast((2, 3, 4), names, generator(seed), familiar_share=1, texture=0)
        white, cortex, fluid = drawn.means.tolist()
        assert white > cortex > fluid or white < cortex < fluid
        orders.add(white > fluid)
    assert orders == {True, False}


def test_random_contrasts_are_spread_out() -> None:
    values = tuple(range(1, 11))
    names = {value: f"structure {value}" for value in values}
    for seed in range(10):
        drawn = draw_contrast(values, names, generator(seed), familiar_share=0, texture=0)
        slots = np.floor((drawn.means - 0.08) / 0.92 * len(values) - 1e-4).clip(0)
        assert sorted(slots.tolist()) == list(range(len(values)))


# ------------------------------------------------------------------------------------ fields


def test_a_field_is_the_tensor_product_of_b_splines() -> None:
    shape, spacing, knots = (7, 9, 11), (2.0, 1.0, 1.5), 4.0
    field = SmoothField(shape, spacing, knots=knots, deviation=1, channels=2, rng=generator(1))
    coefficients = field._coefficients
    for n, h, w in ((0, 0, 0), (3, 5, 7), (6, 8, 10)):
        weights = []
        for at, step, count in zip((n, h, w), spacing, coefficients.shape[1:], strict=True):
            knot = np.arange(-3, count + 1, dtype=float)
            weights.append([
                float(BSpline.basis_element(knot[k : k + 5], extrapolate=False)(at * step / knots))
                if knot[k] <= at * step / knots < knot[k + 4] else 0.0
                for k in range(count)
            ])  # fmt: skip
        expected = np.einsum("cijk,i,j,k->c", coefficients, *weights)
        np.testing.assert_allclose(field.at(n)[:, h, w], expected, rtol=1e-4, atol=1e-5)


def test_a_field_has_the_deviation_that_was_asked_for() -> None:
    shape = (24, 60, 60)
    field = SmoothField(shape, (1, 1, 1), knots=4, deviation=2.5, channels=4, rng=generator(3))
    values = np.stack([field.at(index) for index in range(shape[0])])
    assert abs(values.mean()) < 0.15
    assert values.std() == pytest.approx(2.5, rel=0.12)
    assert np.diff(values, axis=2).std() < 2.5 / 2, "smooth"


def test_no_channels_is_no_field() -> None:
    field = SmoothField((4, 5, 6), (1, 1, 1), knots=3, deviation=1, channels=0, rng=generator(1))
    assert field.at(2).shape == (0, 5, 6)


# ---------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": (2.0, 1.0)},
        {"thickness": (0.0, 1.0)},
        {"step": 0.0},
        {"noise": -1.0},
        {"elastic_knots": 0.0},
        {"familiar_share": 1.5},
        {"stripped_share": -0.5},
        {"scaling": 1.0},
        {"rotation": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        SynthesisSettings(**changes)
