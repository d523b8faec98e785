"""Before torch is imported: one thread, since the tensors are tiny and tests run side by side."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of values recorded from the official code; skips where it is not at hand."""
    shared = os.environ.get("MEDIROUND_SHARED")
    if not shared:
        pytest.skip("MEDIROUND_SHARED is not set: no recorded values of the official code here")
    return Path(shared) / "golden"
