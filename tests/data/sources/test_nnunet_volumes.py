"""nnU-Net folders of NIfTI volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.data.sources.reading import everything
from tests.data.sources.volumes import LPS, block, nnunet, ramp, save

from mediround.data.sources import (
    NnunetSource,
)
from mediround.imaging import Edges, Modality


def test_volumes_are_cut_in_the_planes_that_are_asked_for(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp())
    save(folder / "labelsTr" / "a.nii.gz", block())
    shown, bad = everything(NnunetSource(folder, planes=("axial", "coronal", "sagittal")))
    assert not bad
    planes = [each.plane for each in shown]
    assert planes == ["axial"] * 2 + ["coronal"] * 6 + ["sagittal"] * 3
    assert [each.name for each in shown[:3]] == ["a_4", "a_5", "a_coronal_2"]
    assert [each.oriented for each in shown] == [True] * 2 + [False] * 9
    for each in shown:
        inside = each.image.pixels[each.masks()["liver"]]
        assert set(inside.tolist()) <= set(ramp()[block() > 0].tolist())
        assert each.image.directions is not None
    # Voxels grow towards the left, posterior, superior: columns and rows stay, slices too.
    np.testing.assert_array_equal(shown[0].image.pixels, ramp()[:, :, 4].T)
    np.testing.assert_array_equal(shown[0].labels, block()[:, :, 4].T)
    assert shown[2].image.directions == Edges(left="R", right="L", top="S", bottom="I")


def test_a_channel_has_its_own_modality(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp())
    save(folder / "imagesTr" / "a_0001.nii.gz", ramp() + 5)
    save(folder / "labelsTr" / "a.nii.gz", block())
    first, second = NnunetSource(folder), NnunetSource(folder, channel=1)
    assert (first.modality, second.modality) == (Modality.MR, Modality.CT)
    (one, *_), (two, *_) = everything(first)[0], everything(second)[0]
    np.testing.assert_array_equal(one.image.pixels + 5, two.image.pixels)


def test_a_placeholder_affine_says_nothing_of_the_patient(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp(), np.eye(4))
    save(folder / "labelsTr" / "a.nii.gz", block(), np.eye(4))
    (shown, *_), bad = everything(NnunetSource(folder))
    assert not bad
    assert not shown.oriented
    assert shown.image.directions is None
    assert shown.image.spacing is None
    # RAS+ voxels as ever: the agreed way to look at a grid that says nothing.
    np.testing.assert_array_equal(shown.image.pixels, ramp()[::-1, ::-1, 4].T)


def test_bad_volumes_are_reported(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    moved = LPS.copy()
    moved[0, 3] += 30
    bad_labels: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "b_shape": (block()[:-1], LPS),
        "c_place": (block(), moved),
        "d_value": (block(3), LPS),
        "e_fraction": (block().astype(np.float32) * 0.5, LPS),
        "f_negative": (-block().astype(np.int16), LPS),
        "g_huge": (block().astype(np.float64) * 1e12, LPS),
    }
    save(folder / "labelsTr" / "a.nii.gz", block().astype(np.float32))
    for name in ("a", *bad_labels):
        save(folder / "imagesTr" / f"{name}_0000.nii.gz", ramp())
    for name, (labels, affine) in bad_labels.items():
        save(folder / "labelsTr" / f"{name}.nii.gz", labels, affine)
    save(folder / "labelsTr" / "h_image.nii.gz", block())
    shown, bad = everything(NnunetSource(folder))
    assert [each.name for each in shown] == ["a_4", "a_5"]
    reasons = [each.reason for each in bad]
    parts = (
        "b_shape.nii.gz has the shape (11, 14, 9); expected (12, 14, 9) as b_shape_0000.nii.gz",
        "c_place.nii.gz lies up to 30.0 mm from c_place_0000.nii.gz",
        "d_value.nii.gz holds the label 3; expected one of the listed values 0, 1, 2",
        "e_fraction.nii.gz holds fractions",
        "f_negative.nii.gz holds the label -1",
        "g_huge.nii.gz holds the label 1000000000000",
        "h_image_0000.nii.gz",
    )
    assert len(reasons) == len(parts)
    for reason, part in zip(reasons, parts, strict=True):
        assert part in reason


def test_planes_too_thin_for_an_image_are_passed_over(tmp_path: Path) -> None:
    folder = nnunet(tmp_path / "Dataset001_A")
    save(folder / "imagesTr" / "a_0000.nii.gz", ramp()[:, :, 2:7])
    save(folder / "labelsTr" / "a.nii.gz", block()[:, :, 2:7])
    shown, bad = everything(NnunetSource(folder, planes=("coronal", "axial")))
    assert ({each.plane for each in shown}, bad) == ({"axial"}, [])
    shown, (one,) = everything(NnunetSource(folder, planes=("coronal",)))
    assert not shown
    assert "coronal slices too thin for an image" in one.reason
