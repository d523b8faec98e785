"""Multi-round, entity-level reasoning segmentation of medical images.

    model = mediround.load("nano")
    session = model.open("ct.dcm")
    turn = session.ask("Segment the liver.")

Public names are loaded at their first use: ``import mediround`` imports neither torch nor a
reader of image files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mediround.errors import (
    ConfigError,
    DatasetError,
    DependencyError,
    ImageFileError,
    InputError,
    MediRoundError,
    ModelNotFoundError,
    OutputError,
    QueryError,
    SessionFileError,
    UnknownReferenceError,
    WeightsError,
)

if TYPE_CHECKING:
    from mediround.client import Client as Client
    from mediround.imaging import Image as Image
    from mediround.imaging import Volume as Volume
    from mediround.imaging import open_image as open_image
    from mediround.session import Session as Session
    from mediround.session import load as load

__version__ = "0.1.0"

#: Public name -> the module that defines it.
_LAZY = {
    "Client": "mediround.client",
    "Image": "mediround.imaging",
    "Session": "mediround.session",
    "Volume": "mediround.imaging",
    "load": "mediround.session",
    "open_image": "mediround.imaging",
}

__all__ = [
    "Client",
    "ConfigError",
    "DatasetError",
    "DependencyError",
    "Image",
    "ImageFileError",
    "InputError",
    "MediRoundError",
    "ModelNotFoundError",
    "OutputError",
    "QueryError",
    "Session",
    "SessionFileError",
    "UnknownReferenceError",
    "Volume",
    "WeightsError",
    "__version__",
    "load",
    "open_image",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
