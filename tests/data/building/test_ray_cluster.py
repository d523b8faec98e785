"""The same build on a real Ray cluster of two workers on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediround.data.building.build import build
from mediround.data.building.ray_cluster import RayCluster
from mediround.data.building.settings import BuildSettings
from mediround.data.sources import open_sources
from mediround.errors import DependencyError

# A process of its own: what Ray leaves behind when it stops must not trouble other tests.
SCRIPT = """
import sys
from pathlib import Path

from mediround.data.building.build import build
from mediround.data.building.settings import BuildSettings
from mediround.data.building.ray_cluster import RayCluster
from mediround.data.sources import open_sources
from mediround.errors import MediRoundError

settings = BuildSettings(dialogues=60, seed=5, shard_dialogues=15)
build(open_sources(Path(sys.argv[1])), Path(sys.argv[2]), settings, pool=RayCluster(2))
try:
    list(RayCluster(1).run(lambda number: 1 // number, [0]))
except MediRoundError as error:
    print(error)
"""


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra 'ray'")
def test_a_build_on_ray_gives_equal_bytes(labelled_folder: Path, tmp_path: Path) -> None:
    settings = BuildSettings(dialogues=60, seed=5, shard_dialogues=15)
    build(open_sources(labelled_folder), tmp_path / "here", settings)
    words = [sys.executable, "-c", SCRIPT, str(labelled_folder), str(tmp_path / "ray")]
    patient = os.environ | {"RAY_agent_register_timeout_ms": "120000"}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=400, env=patient
    )
    if "timed out during startup" in done.stderr:
        pytest.skip("Ray allows its node 30 seconds to start; this machine is too busy")
    assert done.returncode == 0, done.stderr
    assert "a task failed on the Ray cluster" in done.stdout
    assert digest(tmp_path / "ray") == digest(tmp_path / "here")


def test_without_ray_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"pip install 'mediround\[ray\]'"):
        RayCluster(2)
