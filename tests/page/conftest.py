"""A real browser on a real server process; skipped where there is no Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 600
WAIT_MS = 60_000
"""How long the page may take for a step; machines that test are busy."""


class Server:
    """A server process, by default with the tiny model that talks; it can die and come back.

    Args:
        data: its folder.
        options: of the command line.
        module: what is run.
    """

    def __init__(self, data: Path, *options: str, module: str = "benchmarks.talkative") -> None:
        self._data, self._options, self._module = data, options, module
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when its model is loaded."""
        command = [sys.executable, "-m", *self._module.split(), "--port", str(self.port)]
        command += ["--data-dir", str(self._data), *self._options]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the server ended while it started"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the process."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed: no browser to test the page with")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=found,
            # WebGL in software, so that every machine can draw volumes; the page itself without.
            args=[
                "--no-sandbox",
                "--disable-gpu-compositing",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
            ],
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it alive."""
    started = Server(tmp_path_factory.mktemp("served"))
    try:
        started.start()
        yield started
    finally:
        started.kill(signal.SIGTERM)


@pytest.fixture
def mortal(browser: Browser, tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    started = Server(tmp_path / "served")
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh profile; an exception in the page fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    failures: list[str] = []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    context.close()
    assert not failures


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path:
    """Where screenshots are kept to be looked at."""
    folder = request.config.rootpath / "out" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
