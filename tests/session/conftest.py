"""A tiny model that says [SEG] and draws something, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediround.config import tiny
from mediround.model.loading import compose
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

    def make() -> Model:
        network = compose(tiny())
        generator = torch.Generator().manual_seed(2)
        lively: list[Any] = [network.projection, network.perception, network.segmenter.decoder]
        with torch.no_grad():
            for part in (*lively, network.language.inner):
                for parameter in part.parameters():
                    parameter.mul_(3)
            language: Any = network.language
            for row in (language.seg_in, language.seg_out):
                row.normal_(0, 0.1, generator=generator)
        network.eval().requires_grad_(False)
        network.language.merge_adapter()
        return Model(network, "tiny", "0" * 64)

    return make


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
