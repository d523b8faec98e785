"""The package's front door."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mediround

PUBLIC = {
    "Client",
    "ConfigError",
    "DatasetError",
    "DependencyError",
    "Image",
    "ImageFileError",
    "InputError",
    "MediRoundError",
    "ModelNotFoundError",
    "OutputError",
    "QueryError",
    "Session",
    "SessionFileError",
    "UnknownReferenceError",
    "Volume",
    "WeightsError",
    "__version__",
    "load",
    "open_image",
}


def test_the_public_names_are_pinned() -> None:
    assert set(mediround.__all__) == PUBLIC
    assert set(dir(mediround)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mediround, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = mediround.nothing


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, mediround; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert not {"torch", "numpy", "pydicom", "nibabel", "typer"} & set(result.stdout.split())


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert mediround.__version__ == project["version"]
