"""Switching parts of a model on and off while it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mediround.errors import ConfigError
from mediround.evaluation.settings import Correction
from mediround.session import Model


def corrects(model: Model) -> bool:
    """Whether the model has a part that corrects masks at all."""
    return model.network.corrects


@contextmanager
def corrected(model: Model, wanted: Correction | None) -> Iterator[None]:
    """The model with its correction as ``wanted``; None leaves it as it is.

    Raises:
        ConfigError: "on" for a model that corrects nothing.
    """
    if wanted == "on" and not corrects(model):
        raise ConfigError(
            f"the model {model.name!r} has no correction",
            expected="a model that corrects bad masks",
            remedy="leave --correction out",
        )
    if wanted is None or not corrects(model):
        yield
        return
    network = model.network
    before = network.correcting
    network.correcting = wanted == "on"
    try:
        yield
    finally:
        network.correcting = before


@contextmanager
def deducing(model: Model, wanted: bool) -> Iterator[None]:
    """The model, deducing what questions mean only where that is ``wanted``."""
    network = model.network
    before = network.deducing
    network.deducing = before and wanted
    try:
        yield
    finally:
        network.deducing = before
