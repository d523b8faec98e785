"""The files of a language model's tokenizer, beside its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mediround.errors import CheckpointFileError

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def tokenizer_files(folders: Sequence[Path]) -> list[Path]:
    """Those of the language model: CLIP keeps a tokenizer of its own, without tokenizer.model.

    Raises:
        CheckpointFileError: there is none.
    """
    for kind in ("tokenizer.model", "tokenizer.json"):
        for folder in folders:
            if (folder / kind).is_file() and not _is_clip(folder):
                return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    raise CheckpointFileError(
        "no tokenizer was found",
        expected="tokenizer.model of LLaVA-Med or LLaVA beside the checkpoint",
        remedy="name its folder with --base",
    )


def _is_clip(folder: Path) -> bool:
    file = folder / "config.json"
    if not file.is_file():
        return False
    return str(json.loads(file.read_text(encoding="utf-8")).get("model_type")).startswith("clip")
