"""A tiny model that says [SEG] and draws something, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from benchmarks.talkative import talkative
from numpy.typing import NDArray

from mediround.session import Model

Pictures = Callable[[int], NDArray[np.float64]]


@pytest.fixture(scope="session", autouse=True)
def short_answers() -> Iterator[None]:
    """A random model does not know when to stop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediround.session.reader.LONGEST_ANSWER", 6)
        yield


@pytest.fixture(scope="session")
def make_model() -> Callable[[], Model]:
    """Equal models, with nothing remembered."""
    return talkative


@pytest.fixture(scope="session")
def model(make_model: Callable[[], Model]) -> Model:
    """One for all tests."""
    return make_model()


@pytest.fixture(scope="session")
def picture() -> Pictures:
    """``picture(seed)``: (60, 72) numbers that differ from seed to seed."""
    return lambda seed: np.random.default_rng(seed).random((60, 72)) + np.eye(60, 72)


@pytest.fixture
def square() -> NDArray[np.bool_]:
    """A mask of (60, 72)."""
    mask = np.zeros((60, 72), dtype=bool)
    mask[20:40, 10:30] = True
    return mask
