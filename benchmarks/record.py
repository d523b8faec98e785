"""What every benchmark writes beside its numbers: when, on which machine, with which versions."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("mediround", "torch", "transformers", "numpy")


def about(benchmark: str) -> dict[str, Any]:
    """The head of a record."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"benchmark": benchmark, "at": now, "machine": _machine()}


def write(folder: Path, name: str, record: Mapping[str, Any]) -> Path:
    """Write ``record`` as JSON under ``name`` and its date; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{record['at'][:10]}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _machine() -> dict[str, Any]:
    """Hardware, its load, and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((n.partition(":")[2].strip() for n in lines if n.startswith("model name")), "")
    return {
        "processor": name or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load": os.getloadavg(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
    }
