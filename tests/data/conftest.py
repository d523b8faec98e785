"""Made label maps: anatomy-like scenes without data files, as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st

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
