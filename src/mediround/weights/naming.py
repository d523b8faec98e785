"""What training programs put round the names of a model: peft's and torch's wrappers.

base_model.model.N               peft wraps the model
N.base_layer.weight              newer peft, the layer under an adapter (0.4: N.weight)
N.lora_A.default.weight          the adapter "default"; files of an adapter alone leave it out
N.modules_to_save.default.weight a copy that was trained; N.original_module is the one before
module.N                         DistributedDataParallel
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

#: "plain" has no peft; "peft-0.4" and "peft" are official checkpoints with adapters, by version.
Naming = Literal["plain", "peft-0.4", "peft"]
NAMINGS: tuple[Naming, ...] = ("plain", "peft-0.4", "peft")

_PEFT = "base_model.model."
_ADAPTER = re.compile(r"\.(lora_[AB])\.[^.]+\.weight$")
_SAVED = re.compile(r"\.modules_to_save\.[^.]+\.")
_BASE = ".base_layer."
_BEFORE = ".original_module."


def strip(keys: Iterable[str]) -> dict[str, str | None]:
    """Key -> its name in the model without wrappers; None for what was superseded by training."""
    keys = tuple(keys)
    wrapped = bool(keys) and all(key.startswith("module.") for key in keys)
    return {key: _bare(key.removeprefix("module.") if wrapped else key) for key in keys}


def _bare(key: str) -> str | None:
    if not key.startswith(_PEFT):
        return key
    key = key.removeprefix(_PEFT)
    if _BEFORE in key:
        return None
    key = _SAVED.sub(".", key).replace(_BASE, ".")
    return _ADAPTER.sub(r".\1.weight", key)


def naming_of(keys: Iterable[str]) -> Naming:
    """How the keys of one checkpoint are wrapped."""
    keys = tuple(keys)
    if not any(_PEFT in key for key in keys):
        return "plain"
    return "peft" if any(_BASE in key for key in keys) else "peft-0.4"


def wrap(names: Iterable[str], naming: Naming) -> Mapping[str, str]:
    """Canonical name -> key in the given naming; :func:`strip` is its inverse."""
    names = tuple(names)
    if naming == "plain":
        return {name: name for name in names}
    adapted = {name.partition(".lora_")[0] for name in names if ".lora_" in name}
    return {name: _PEFT + _wrapped(name, adapted, naming) for name in names}


def _wrapped(name: str, adapted: set[str], naming: Naming) -> str:
    owner, _, leaf = name.rpartition(".")
    if ".lora_" in name:
        return f"{owner}.default.{leaf}"
    if naming == "peft" and owner in adapted:
        return f"{owner}{_BASE}{leaf}"
    return name
