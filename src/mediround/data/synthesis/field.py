"""Smooth random fields on a stack of slices, evaluated one slice at a time.

A field is a tensor product of uniform cubic B-splines with random coefficients: smooth, cheap to
draw, and any slice of it costs two small matrix products, so no volume of it ever exists.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RMS = 0.69**3
"""Standard deviation of a field whose coefficients have one of 1: that of the basis, cubed."""


class SmoothField:
    """A random field with ``channels`` values at each point, mean 0.

    Args:
        shape: (N, H, W) of the stack.
        spacing: millimetres between slices, rows and columns.
        knots: millimetres between the knots; the size of the smallest features.
        deviation: standard deviation of the values.
        channels: independent values at each point.
        rng: draws the coefficients.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        *,
        knots: float,
        deviation: float,
        channels: int,
        rng: np.random.Generator,
    ) -> None:
        self._basis = [
            _basis(size, step / knots) for size, step in zip(shape, spacing, strict=True)
        ]
        counts = [each.shape[1] for each in self._basis]
        drawn = rng.standard_normal((channels, *counts), dtype=np.float32)
        self._coefficients = drawn * np.float32(deviation / _RMS)

    def at(self, index: int) -> NDArray[np.float32]:
        """(channels, H, W) on slice ``index``."""
        across, down, along = self._basis
        # einsum without BLAS: its sums do not depend on the number of threads.
        plane = np.einsum("k,ckhw->chw", across[index], self._coefficients)
        rows = np.einsum("hk,ckw->chw", down, plane)
        values: NDArray[np.float32] = np.einsum("wk,chk->chw", along, rows)
        return values


def _basis(size: int, step: float) -> NDArray[np.float32]:
    """(size, knots) weights of the B-splines at points ``step`` knots apart; rows sum to 1."""
    at = np.arange(size) * step
    first = np.floor(at).astype(int)
    t = at - first
    weights = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ],
        axis=1,
    )
    basis = np.zeros((size, int(first.max()) + 4), dtype=np.float32)
    for place in range(4):
        basis[np.arange(size), first + place] = weights[:, place]
    return basis
