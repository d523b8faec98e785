"""Small labelled volumes, as nnU-Net keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE = (12, 14, 9)
LPS = np.diag([-1.0, -2.0, 3.0, 1.0])
LPS[:3, 3] = (50, 60, 70)


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] = LPS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def ramp() -> NDArray[np.int16]:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def block(value: int = 1) -> NDArray[np.uint8]:
    """A block off every axis of symmetry, in slices 4 and 5."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:4, 2:8, 4:6] = value
    return labels


def nnunet(folder: Path, **changes: Any) -> Path:
    labels = {"background": 0, "liver": 1, "spleen": 2}
    described = {"channel_names": {"0": "MRI", "1": "CT"}, "labels": labels}
    folder.mkdir(parents=True, exist_ok=True)
    described |= {"file_ending": ".nii.gz", **changes}
    (folder / "dataset.json").write_text(json.dumps(described))
    (folder / "labelsTr").mkdir(exist_ok=True)
    return folder
