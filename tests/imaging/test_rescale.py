from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mediround.imaging.rescale import rescale


@given(
    stored=hnp.arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]), (2, 3)),
    slope=st.integers(-70_000, 70_000),
    intercept=st.integers(-70_000, 70_000),
)
def test_whole_rescales_are_exact(stored: np.ndarray, slope: int, intercept: int) -> None:
    values = rescale(stored, slope, intercept)
    assert values.dtype.kind in "iu"
    expected = [slope * int(value) + intercept for value in stored.ravel()]
    assert values.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "slope", "expected"),
    [
        (np.int16, 1.0, np.int16),
        (np.uint8, 300.0, np.int32),
        (np.int16, 0.5, np.float32),
        (np.int32, 0.5, np.float64),
        (np.float32, 2.0, np.float32),
        (np.float64, 2.0, np.float64),
    ],
)
def test_type_of_the_result(dtype: type, slope: float, expected: type) -> None:
    values = rescale(np.full((2, 2), 200, dtype), slope, -3)
    assert values.dtype == expected
    assert np.all(values == 200 * slope - 3)


def test_identity_returns_the_same_array() -> None:
    stored = np.zeros((2, 2), np.uint16)
    assert rescale(stored, 1.0, 0.0) is stored
