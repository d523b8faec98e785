"""Stored values to physical values: ``slope * stored + intercept``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST_WHOLE = 2**31


def rescale(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Apply a linear rescale, in integers where that is exact.

    Integers with a whole slope and intercept give int16, or int32 or int64 where the result
    needs it; everything else float32, or float64 for integers of more than 16 bits and for
    float64. The identity returns ``stored`` itself.

    Args:
        stored: at least one value, at least one axis.
        slope: finite.
        intercept: finite.
    """
    if slope == 1 and intercept == 0:
        return stored
    integer = _integer_type(stored, slope, intercept)
    if integer is None:
        wide = stored.dtype.itemsize > (4 if stored.dtype.kind == "f" else 2)
        values = np.empty(stored.shape, np.float64 if wide else np.float32)
        for index in range(stored.shape[0]):
            values[index] = stored[index].astype(np.float64) * slope + intercept
        return values
    values = np.empty(stored.shape, integer)
    # One slab at a time: the int64 intermediate of a whole volume would be four times its size.
    for index in range(stored.shape[0]):
        values[index] = stored[index].astype(np.int64) * int(slope) + int(intercept)
    return values


def _integer_type(stored: NDArray[Any], slope: float, intercept: float) -> np.dtype[Any] | None:
    """The smallest signed integer type that holds the exact result, if there is one."""
    whole = float(slope).is_integer() and float(intercept).is_integer()
    small = max(abs(slope), abs(intercept)) < _LARGEST_WHOLE
    if stored.dtype.kind not in "iu" or not (whole and small):
        return None
    ends = [int(slope) * int(end) + int(intercept) for end in (stored.min(), stored.max())]
    for integer in (np.int16, np.int32, np.int64):
        limits = np.iinfo(integer)
        if limits.min <= min(ends) and max(ends) <= limits.max:
            return np.dtype(integer)
    return None
