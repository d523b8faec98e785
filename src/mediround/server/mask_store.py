"""Dialogues without their masks: each stands as the hash of its code, and is stored once."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from mediround.dialogue import Dialogue


def _entities(shape: dict[str, Any]) -> list[dict[str, Any]]:
    return [*shape["given"], *(e for each in shape["rounds"] for e in each["entities"])]


def without_masks(dialogue: Dialogue) -> tuple[dict[str, Any], dict[str, str]]:
    """The dialogue with hashes for the counts of its masks, and hash -> counts."""
    shape = dialogue.model_dump(mode="json")
    masks: dict[str, str] = {}
    for entity in _entities(shape):
        if entity["mask"] is not None:
            counts = entity["mask"]["counts"]
            digest = hashlib.sha256(counts.encode()).hexdigest()
            masks[digest], entity["mask"]["counts"] = counts, digest
    return shape, masks


def with_masks(shape: Mapping[str, Any], masks: Mapping[str, str]) -> Dialogue:
    """The inverse of :func:`without_masks`; ``shape`` stays as it is."""
    own = copy.deepcopy(dict(shape))
    for entity in _entities(own):
        if entity["mask"] is not None:
            entity["mask"]["counts"] = masks[entity["mask"]["counts"]]
    return Dialogue.model_validate(own)
