"""How bright each label is in a synthetic image: drawn at random, or in an order that MR knows.

Labels that are one tissue share a brightness: both sides of the body, and everything filled with
cerebrospinal fluid. A mirror image of a contrast is no contrast that a scanner makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FLUID: Final = "fluid"
_SIDED: Final = re.compile(r"^(?:left|right) ")
_VENTRICLES: Final = ("lateral ventricle", "third ventricle", "fourth ventricle")
_FREESURFER: Final[Mapping[int, str]] = {
    **dict.fromkeys((5, 24, 44, 72), _FLUID),
    **dict.fromkeys((26, 58), "nucleus accumbens"),
    **dict.fromkeys((28, 60), "ventral diencephalon"),
    **dict.fromkeys((30, 62), "vessel"),
    **dict.fromkeys((25, 57), "lesion"),
    **dict.fromkeys((136, 163), "grey matter 136"),
    **dict.fromkeys((137, 164), "grey matter 137"),
    85: "optic chiasm",
}
"""Labels of FreeSurfer that data sets keep without naming them; pairs of sides are one tissue."""

_T1_T2: Final[Sequence[tuple[str, float, float]]] = (
    (_FLUID, 0.12, 0.95),
    ("lesion", 0.45, 0.85),
    ("white matter", 0.82, 0.40),
    ("optic chiasm", 0.82, 0.40),
    ("brainstem", 0.76, 0.45),
    ("ventral diencephalon", 0.74, 0.45),
    ("globus pallidus", 0.76, 0.36),
    ("thalamus", 0.68, 0.50),
    ("putamen", 0.63, 0.50),
    ("caudate", 0.59, 0.55),
    ("accumbens", 0.57, 0.55),
    ("hippocampus", 0.54, 0.60),
    ("amygdala", 0.54, 0.60),
    ("cortex", 0.52, 0.62),
    ("grey matter", 0.55, 0.60),
)
"""Part of a name, brightness in T1 and in T2 weighted images as a share of the brightest tissue."""

_SPREAD: Final = 0.06


class Contrast(NamedTuple):
    """Brightness of each label: mean and standard deviation, both (labels,), tissue in 0..1.

    ``stripped``: all but the brain is 0.
    """

    means: NDArray[np.float32]
    deviations: NDArray[np.float32]
    stripped: bool


def draw_contrast(
    values: Sequence[int],
    names: Mapping[int, str],
    rng: np.random.Generator,
    *,
    familiar_share: float,
    texture: float,
    stripped_share: float = 0.0,
) -> Contrast:
    """Means and deviations for the labels ``values``.

    Args:
        values: the label values that occur; 0 is air, dark.
        names: label -> canonical name, for those that are entities.
        rng: draws everything.
        familiar_share: chance of T1 or T2 order for the tissues of the brain instead of a random
            one.
        texture: largest standard deviation inside a tissue.
        stripped_share: chance of no more than the brain: entities and FreeSurfer's labels, all
            else 0. A share of 0 draws no random number.
    """
    tissues = [_tissue(value, names) for value in values]
    groups = list(dict.fromkeys(tissues))
    means = dict(zip(groups, _spread_out(len(groups), rng), strict=True))
    if rng.random() < familiar_share:
        t1 = bool(rng.random() < 0.5)
        for group in groups:
            usual = _usual(group, t1=t1)
            if usual is not None:
                means[group] = float(np.clip(usual + _SPREAD * rng.standard_normal(), 0.03, 1))
    deviations = dict(zip(groups, rng.uniform(0, texture, len(groups)), strict=True))
    means_of = np.array([means[tissue] for tissue in tissues], dtype=np.float32)
    deviations_of = np.array([deviations[tissue] for tissue in tissues], dtype=np.float32)
    darkness = 0.02 * rng.random()
    stripped = stripped_share > 0 and rng.random() < stripped_share
    brain = {*names, *_FREESURFER}
    air = np.array([value == 0 or (stripped and value not in brain) for value in values])
    means_of[air], deviations_of[air] = 0.0 if stripped else darkness, 0.0
    return Contrast(means_of, deviations_of, stripped)


def _tissue(value: int, names: Mapping[int, str]) -> str:
    name = names.get(value)
    if name is None:
        return _FREESURFER.get(value, f"label {value}")
    unsided = _SIDED.sub("", name)
    return _FLUID if unsided in _VENTRICLES else unsided


def _spread_out(count: int, rng: np.random.Generator) -> list[float]:
    """Brightness evenly over 0.08..1 in random order, jittered: few tissues look alike."""
    slots = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    return [float(0.08 + 0.92 * slot) for slot in slots]


def _usual(tissue: str, *, t1: bool) -> float | None:
    for part, in_t1, in_t2 in _T1_T2:
        if part in tissue:
            return in_t1 if t1 else in_t2
    return None
