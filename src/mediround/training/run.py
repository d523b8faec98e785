"""A training run: parts in order, each resumable, each in its own folder."""

import logging
from pathlib import Path
from typing import Literal, get_args

import torch

from mediround.errors import ConfigError
from mediround.training import features
from mediround.training.conversations import Conversations, orientations
from mediround.training.language import LanguagePart
from mediround.training.masks import MasksPart
from mediround.training.recipe import Recipe

logger = logging.getLogger(__name__)

Part = Literal["features", "masks", "language", "judge", "package"]
PARTS: tuple[Part, ...] = get_args(Part)


def run(recipe: Recipe, data: Path, folder: Path, part: Part, *, threads: int) -> None:
    """Run one part of ``recipe``.

    The language part needs only the codes, which the masks part fixes early, so that the two can
    run side by side.

    Args:
        data: folder that holds the data sets.
        folder: where the run keeps its features, checkpoints and logs.
        threads: processes for the features, threads for everything else.
    """
    store = features.build(recipe, data, folder / "features", threads)
    if part == "features":
        return
    torch.set_num_threads(threads)
    if part == "masks":
        MasksPart(recipe, store, folder / "masks").train()
    elif part == "language":
        codes = folder / "masks" / "codes.safetensors"
        if not codes.exists():
            raise ConfigError(
                "there are no codes yet", expected=str(codes), remedy="run the part masks first"
            )
        talks = Conversations(recipe, store, orientations(recipe, data))
        LanguagePart(recipe, store, talks, codes, folder / "language").train()
