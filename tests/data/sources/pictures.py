"""Small pictures and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

H, W = 10, 14


def picture(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    gray = np.arange(H * W, dtype=np.uint8).reshape(H, W) if pixels is None else pixels
    PillowImage.fromarray(gray).save(path)
    return path


def box(top: int, left: int, bottom: int, right: int, value: int = 255) -> NDArray[np.uint8]:
    mask = np.zeros((H, W), dtype=np.uint8)
    mask[top:bottom, left:right] = value
    return mask


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
