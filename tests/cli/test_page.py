"""``serve --open``: the page on one saved session."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mediround.cli import main
from mediround.cli.page import command
from mediround.client import Client
from mediround.imaging import Image
from mediround.imaging.png import encode_png
from mediround.session import load


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A session with a mask, and its picture."""
    picture = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 72), dtype=np.uint8)
    picture.write_bytes(encode_png(Image.from_array(pixels).pixels))
    session = load("tiny").open(picture)
    mask = np.zeros((60, 72), dtype=bool)
    mask[10:30, 20:50] = True
    session.add_mask(mask, "mine")
    session.save(tmp_path / "a case.json")
    return tmp_path / "a case.json"


def test_the_command_opens_the_page_on_the_session(saved: Path, tmp_path: Path) -> None:
    words = shlex.split(command(saved, "tiny"))
    assert words[-5:] == ["serve", "--model", "tiny", "--open", str(saved)]
    run = [sys.executable, "-m", "mediround", *words[words.index("serve") :]]
    more = ["--port", "0", "--data-dir", str(tmp_path / "data"), "--token", "auto"]
    hidden = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    process = subprocess.Popen([*run, *more], stdout=subprocess.PIPE, text=True, env=hidden)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        link = next(line for line in lines if line.startswith("http"))
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)#token=([^&]+)&s=([0-9a-f]{32})\n", link)
        assert found is not None, link
        with Client(found[1], found[2]) as client:
            opened = client.resume(found[3])
            assert [each.name for each in opened.entities.values()] == ["mine"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_what_cannot_be_opened_is_refused_before_anything_starts(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "picture.png").unlink()
    assert main(["serve", "--open", str(saved), "--data-dir", str(tmp_path / "data")]) == 2
    assert "is not where it was" in capsys.readouterr().err
    assert main(["serve", "--open", str(tmp_path / "none"), "--data-dir", str(tmp_path)]) == 2


def test_the_program_is_named_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for called, said in (
        (".venv/bin/mediround", ".venv/bin/mediround"),
        ("/elsewhere/mediround/__main__.py", f"{sys.executable} -m mediround"),
    ):
        monkeypatch.setattr(sys, "argv", [called, "demo"])
        shown = command(Path("out/demo/session.json"), "nano")
        assert shown == f"{said} serve --model nano --open out/demo/session.json"
