"""Configuration files that others keep beside their tensors, sorted by what they describe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediround.errors import CheckpointFileError

#: Hidden state of CLIP that LLaVA uses unless a configuration says otherwise.
SELECTED_LAYER = -2


@dataclass(frozen=True)
class Configurations:
    """The configuration files found beside the tensors, by what they describe."""

    language: Mapping[str, Any] = field(default_factory=dict)
    tower: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)


def read_configurations(folders: tuple[Path, ...]) -> Configurations:
    """Sort ``config.json`` and ``adapter_config.json`` of ``folders`` by their content.

    Of two that describe the same part the first counts.

    Raises:
        CheckpointFileError: a file is not a JSON object.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for folder in folders:
        if (folder / "adapter_config.json").is_file():
            found.setdefault("adapter", _read_object(folder / "adapter_config.json"))
        if not (folder / "config.json").is_file():
            continue
        config = _read_object(folder / "config.json")
        text = config.get("text_config")
        vision = config.get("vision_config")
        if str(config.get("model_type", "")).startswith("clip"):
            found.setdefault("tower", vision if isinstance(vision, dict) else config)
        elif isinstance(text, dict):
            selected = {
                "mm_vision_select_layer": config.get("vision_feature_layer", SELECTED_LAYER)
            }
            found.setdefault("language", {**selected, **text})
            if isinstance(vision, dict):
                found.setdefault("tower", vision)
        elif "rms_norm_eps" in config or "num_key_value_heads" in config:
            found.setdefault("language", config)
    return Configurations(**found)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointFileError(
            f"{file} cannot be read ({type(error).__name__})", expected="a JSON object"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointFileError(f"{file} holds a {type(value).__name__}", expected="an object")
    return value
