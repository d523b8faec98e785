"""Made label maps: anatomy-like scenes without data files, as fixtures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]

ABDOMEN = (
    "spleen",
    "left kidney",
    "right kidney",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "pancreas",
    "gallbladder",
)


def _ellipse(
    centre: tuple[float, float], radii: tuple[float, float], shape: tuple[int, int] = (96, 96)
) -> BoolMask:
    """A filled ellipse; centre and radii as (x, y) in pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    across = (columns - centre[0]) / radii[0]
    down = (rows - centre[1]) / radii[1]
    inside: BoolMask = across**2 + down**2 <= 1
    return inside


@pytest.fixture(scope="session")
def ellipse() -> Callable[..., BoolMask]:
    return _ellipse


@pytest.fixture
def upper_abdomen() -> Masks:
    """A coarse axial slice: row 0 anterior, column 0 the patient's right."""
    return {
        "liver": _ellipse((22, 40), (15, 22)),
        "stomach": _ellipse((65, 22), (12, 10)),
        "spleen": _ellipse((84, 50), (7, 13)),
        "aorta": _ellipse((54, 60), (4, 4)),
        "inferior vena cava": _ellipse((42, 60), (4, 4)),
        "right kidney": _ellipse((26, 71), (7, 8)),
        "left kidney": _ellipse((72, 67), (7, 8)),
    }


@pytest.fixture
def short_axis() -> Masks:
    """A coarse short-axis view of the heart."""
    cavity = _ellipse((55, 50), (10, 10))
    return {
        "left ventricle cavity": cavity,
        "left ventricular myocardium": _ellipse((55, 50), (16, 16)) & ~cavity,
        "right ventricle cavity": _ellipse((28, 48), (9, 15)),
    }


@st.composite
def _label_maps(draw: st.DrawFn) -> Masks:
    """Two to seven ellipses with names, later ones painted over earlier ones; none empty."""
    count = draw(st.integers(2, 7))
    names = draw(st.permutations(ABDOMEN))[:count]
    canvas = np.zeros((48, 64), dtype=np.int64)
    for value in range(1, count + 1):
        centre = (draw(st.integers(4, 59)), draw(st.integers(4, 43)))
        radii = (draw(st.integers(2, 12)), draw(st.integers(2, 12)))
        canvas[_ellipse(centre, radii, (48, 64))] = value
    found = {name: canvas == value for value, name in enumerate(names, start=1)}
    return {name: mask for name, mask in found.items() if mask.any()}


@pytest.fixture(scope="session")
def label_maps() -> st.SearchStrategy[Masks]:
    return _label_maps()


@pytest.fixture(scope="session")
def labelled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small nnU-Net data sets: pictures of abdomens, one of them broken, and a heart volume."""
    root = tmp_path_factory.mktemp("labelled")
    _write_abdomens(root / "Dataset901_Abdomen")
    _write_heart(root / "Dataset902_Heart")
    return root


def _write_abdomens(folder: Path) -> None:
    names = {
        "liver": ((22, 40), (15, 22)),
        "spleen": ((84, 50), (7, 13)),
        "aorta": ((54, 60), (4, 4)),
        "right kidney": ((26, 74), (7, 8)),
        "left kidney": ((72, 70), (7, 8)),
    }
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: n for n, name in enumerate(names, 1)}},
        "file_ending": ".png",
        "licence": "CC0",
        "axes": "row 0 = anterior, column 0 = patient right",
    }
    _describe(folder, description)
    for case in range(6):
        labels = np.zeros((96, 96), dtype=np.uint8)
        for value, (centre, radii) in enumerate(names.values(), 1):
            labels[_ellipse((centre[0] + case, centre[1] - case), radii)] = value
        noise = np.random.default_rng(case).integers(0, 30, labels.shape)
        for part, pixels in (("imagesTr", labels * 30 + noise), ("labelsTr", labels)):
            name = f"ABD_{case:03d}_7" + ("_0000" if part == "imagesTr" else "")
            picture = pixels.astype(np.uint8)
            PillowImage.fromarray(picture).save(folder / part / f"{name}.png")
    # A label map of another size than its image.
    PillowImage.fromarray(np.ones((90, 96), np.uint8)).save(folder / "labelsTr/ABD_005_7.png")


def _write_heart(folder: Path) -> None:
    names = ("right ventricle cavity", "left ventricular myocardium", "left ventricle cavity")
    description = {
        "channel_names": {"0": "cine MRI"},
        "labels": {"background": 0, **{name: n for n, name in enumerate(names, 1)}},
        "file_ending": ".nii.gz",
    }
    _describe(folder, description)
    rng = np.random.default_rng(0)
    for patient in range(3):
        labels = np.zeros((48, 40, 4), dtype=np.uint8)
        for index in range(4):
            across = labels[:, :, index].T
            across[_ellipse((30, 24), (12 - index, 13), (40, 48))] = 2
            across[_ellipse((30, 24), (8 - index, 8), (40, 48))] = 3
            across[_ellipse((10, 20 + patient), (6, 9), (40, 48))] = 1
        voxels = (labels.astype(int) * 700 + rng.integers(0, 300, labels.shape)).astype(np.int16)
        _write_volume(folder / f"imagesTr/patient{patient:03d}_frame01_0000.nii.gz", voxels)
        _write_volume(folder / f"labelsTr/patient{patient:03d}_frame01.nii.gz", labels)


def _describe(folder: Path, description: dict[str, object]) -> None:
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(description))


def _write_volume(path: Path, voxels: NDArray[Any]) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
