"""Dialogues with a model about an image: load a model, open an image, ask.

Public names are loaded at their first use: reading or exporting a saved session needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediround.session.engine import Session as Session
    from mediround.session.engine import Turn as Turn
    from mediround.session.entities import Entities as Entities
    from mediround.session.entities import SessionEntity as SessionEntity
    from mediround.session.model import Model as Model
    from mediround.session.model import load as load

#: Public name -> the module that defines it.
_LAZY = {
    "Entities": "mediround.session.entities",
    "Model": "mediround.session.model",
    "Session": "mediround.session.engine",
    "SessionEntity": "mediround.session.entities",
    "Turn": "mediround.session.engine",
    "load": "mediround.session.model",
}

__all__ = ["Entities", "Model", "Session", "SessionEntity", "Turn", "load"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
