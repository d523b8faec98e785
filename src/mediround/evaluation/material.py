"""What a model is measured on: labelled images, or dialogues that somebody has annotated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mediround.data.shards import FORMAT
from mediround.errors import DatasetError
from mediround.evaluation.location import MOST_SLICES
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.selection import Chosen, choose, find_datasets
from mediround.evaluation.stored import built_dialogues, typed_dialogues

Kind = Literal["labelled images", "built dialogues", "typed dialogues", "official dialogues"]
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Material:
    """Images to be looked at.

    Attributes:
        kind: what was found.
        chosen: the images, by case.
        left_out: what cannot be used -> why.
        folders: the labelled data sets, where these were found.
        min_pixels: structures smaller than this do not count.
    """

    kind: Kind
    chosen: list[Chosen]
    left_out: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    min_pixels: int = 1

    def training(self) -> dict[str, list[Chosen]]:
        """Data set -> images of its training patients, ``MOST_SLICES`` at most; may be empty."""
        return {
            folder.name: list(choose(folder, "train", MOST_SLICES, self.min_pixels))
            for folder in self.folders
        }


def find_material(data: Path, settings: EvaluationSettings, told: Told) -> Material:
    """Find out what ``data`` is, and choose from it.

    Args:
        data: one of

            - an nnU-Net raw folder, or a folder that holds several: dialogues are made from the
              labels;
            - a folder that ``mediround data build`` wrote;
            - a ``.jsonl`` or ``.json`` file of typed dialogues, images beside it;
            - a ``.json`` file in the official release's bracket format.
        settings: which part, and how much of it.
        told: how many data sets of how many are done.

    Raises:
        DatasetError: it is none of these, or nothing of it can be used.
    """
    if data.is_file():
        return _from_file(data, settings)
    if _is_built(data):
        chosen = built_dialogues(data, settings.split, settings.limit, settings.only)
        return Material("built dialogues", chosen)
    folders, left_out = find_datasets(data, settings.only)
    least = settings.mixture.min_pixels
    found: list[Chosen] = []
    for place, each in enumerate(folders):
        told(place, len(folders))
        found += choose(each, settings.split, settings.limit, least)
    return Material("labelled images", found, left_out, tuple(folders), least)


def _from_file(data: Path, settings: EvaluationSettings) -> Material:
    try:
        with data.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise DatasetError(f"{data.name} cannot be read ({error.strerror})") from error
    if not start.strip():
        raise DatasetError(f"{data.name} is empty", expected="dialogues")
    chosen, left_out, official = typed_dialogues(data, settings.limit)
    if settings.only:
        known = sorted({case.dataset for case in chosen})
        chosen = [case for case in chosen if case.dataset in settings.only]
        if not chosen:
            raise DatasetError(
                f"{data.name} holds no {', '.join(settings.only)}",
                expected=f"some of {', '.join(known)}",
            )
    return Material("official dialogues" if official else "typed dialogues", chosen, left_out)


def _is_built(folder: Path) -> bool:
    try:
        described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("format") == FORMAT
