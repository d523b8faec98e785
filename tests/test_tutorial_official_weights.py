"""The tutorial on official weights does what it says."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from mediround.cli import main

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "official-weights.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(
    "MEDIROUND_SHARED" not in os.environ, reason="MEDIROUND_SHARED names no recorded checkpoints"
)
def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = f"{os.environ['MEDIROUND_SHARED']}/golden"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"GOLDEN": golden}
    blocks = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    assert [language for language, _ in blocks] == ["bash", "bash", "python", "bash", "python"]
    for language, text in blocks:
        if language == "python":
            exec(compile(text, str(TUTORIAL), "exec"), names)
            continue
        for line in text.splitlines():
            words = shlex.split(line.replace("$GOLDEN", golden))
            assert words[0] == "mediround"
            assert main(words[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "imported" / "config.json").is_file()
    assert (tmp_path / "official" / "pytorch_model.bin").is_file()


def test_the_table_of_messages_quotes_what_is_said() -> None:
    source = Path(__file__).parents[1] / "src" / "mediround" / "weights"
    said = " ".join(" ".join(f.read_text(encoding="utf-8").split()) for f in source.glob("*.py"))
    rows = re.findall(r"^\| `(.*?)` \|", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 6
    for row in rows:
        words = row.strip("… ").replace("posix.system", "").replace("argparse.Namespace", "")
        assert words.strip() in said, row
