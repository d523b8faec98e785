"""A tiny model with nothing at zero, so that no part can be left out unnoticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.presets import tiny as tiny_config


def made() -> MediRound:
    model = compose(tiny_config())
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "seg_" in name or parameter.abs().sum() == 0:
                parameter.normal_(0, 0.1, generator=generator)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def make_model() -> Callable[[], MediRound]:
    """Makes equal models that a test may change."""
    return made


@pytest.fixture(scope="session")
def tiny() -> MediRound:
    """One for all; not to be changed."""
    return made()
