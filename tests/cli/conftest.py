"""Images to ask about, and a tiny model that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage


@pytest.fixture
def png(tmp_path: Path) -> Path:
    """An ultrasound-like picture, 64 x 48."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    PillowImage.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``answers("The nerve is [1].", …)``: the model draws at once what it is told to say.

    Random weights speak nonsense; everything else, drawing and judging included, is real.
    """
    from mediround.session import Session, Turn

    ask = Session.ask

    def install(*texts: str) -> None:
        waiting = list(texts)

        def scripted(self: Session, query: str) -> Turn:
            turn = ask(self, query, text=waiting[0])
            waiting.pop(0)
            return turn

        monkeypatch.setattr(Session, "ask", scripted)

    return install
