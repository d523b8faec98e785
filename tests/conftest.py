"""Before torch is imported: one thread, since the tensors are tiny and tests run side by side."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
