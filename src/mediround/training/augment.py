"""Random views of a canvas and its labels: geometry, then intensity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SMOOTH = 1 / 16
"""Standard deviation of what smooths a random field, as a fraction of the side."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges of random views; a data set whose labels name sides must not be mirrored.

    Attributes:
        rotate: largest rotation in degrees.
        scale: smallest and largest magnification.
        shift: largest shift as a fraction of the canvas.
        bend: largest displacement, in pixels, by a smooth random field.
        mirror: flip left-right with probability 1/2.
        quarter_turns: also turn by multiples of 90 degrees and flip up-down.
        gamma: largest change of the exponent, as a factor.
        noise: largest standard deviation of added noise (values are 0..1).
        blur: largest standard deviation of blurring, in pixels.
    """

    rotate: float = 12.0
    scale: tuple[float, float] = (0.85, 1.2)
    shift: float = 0.06
    bend: float = 0.0
    mirror: bool = False
    quarter_turns: bool = False
    gamma: float = 1.4
    noise: float = 0.04
    blur: float = 0.8


def augment(
    pixels: NDArray[np.float32],
    labels: NDArray[Any],
    settings: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """A random view of ``pixels`` (3, H, W; 0..1) and ``labels`` (H, W), same shapes and types."""
    places = _places(labels.shape, settings, rng)
    moved = np.stack([ndimage.map_coordinates(c, places, order=1) for c in pixels])
    moved_labels = ndimage.map_coordinates(labels, places, order=0)
    if settings.noise or settings.blur:
        shown = moved.max(axis=0) > 0
        moved = ndimage.gaussian_filter(moved, (0, *[rng.uniform(0, settings.blur)] * 2))
        moved = np.clip(moved, 0, 1) ** np.exp(rng.uniform(-1, 1) * np.log(settings.gamma))
        moved = moved * rng.uniform(0.85, 1.15) + rng.uniform(-0.06, 0.06)
        moved = moved + rng.normal(0, rng.uniform(0, settings.noise), moved.shape[1:])
        moved = np.clip(moved, 0, 1) * shown
    return moved.astype(np.float32), moved_labels


def warp(labels: NDArray[Any], settings: Augmentation, rng: np.random.Generator) -> NDArray[Any]:
    """The labels (H, W) alone, as :func:`augment` moves them when its generator is equal."""
    moved: NDArray[Any] = ndimage.map_coordinates(
        labels, _places(labels.shape, settings, rng), order=0
    )
    return moved


def _places(
    shape: tuple[int, ...], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Where each pixel of a view comes from, (2, H, W), rows and columns in pixels."""
    matrix, offset = _affine(shape, settings, rng)
    grid = np.indices(shape, dtype=np.float64)
    places: NDArray[np.float64] = np.tensordot(matrix, grid, 1) + offset[:, None, None]
    if settings.bend:
        field = ndimage.gaussian_filter(rng.normal(size=grid.shape), (0, *[_SMOOTH * shape[0]] * 2))
        places += field * (rng.uniform(0, settings.bend) / np.abs(field).max())
    return places


def _affine(
    shape: tuple[int, ...], settings: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate))
    if settings.quarter_turns:
        angle += np.pi / 2 * int(rng.integers(4))
    factor = 1 / rng.uniform(*settings.scale)
    cos, sin = np.cos(angle) * factor, np.sin(angle) * factor
    matrix = np.array([[cos, -sin], [sin, cos]])
    if settings.mirror and rng.random() < 0.5:
        matrix = matrix @ np.diag([1.0, -1.0])
    if settings.quarter_turns and rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0])
    sides = np.array(shape)
    centre = (sides - 1) / 2
    shift = rng.uniform(-settings.shift, settings.shift, 2) * sides
    return matrix, centre - matrix @ (centre + shift)
