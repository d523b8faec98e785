"""The tutorial's commands are run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from mediround.cli import main
from mediround.session import Session

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "export.md"


def test_every_command_of_the_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ask, said = Session.ask, iter(["The liver is [1].", "The spleen is [2]."])
    # Random weights speak nonsense; all else is real.
    monkeypatch.setattr(Session, "ask", lambda self, query: ask(self, query, text=next(said)))
    image = str(get_testdata_file("CT_small.dcm"))
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        program, *words = shlex.split(command.replace("$IMAGE", image))
        assert program == "mediround"
        more = ["--model", "tiny"] if words[0] == "segment" else []
        assert main([*words, *more]) == 0, capsys.readouterr().err
    assert (tmp_path / "liver.dcm").is_file()
    assert {"nifti", "coco", "png", "dialogue", "result"} <= {p.name for p in tmp_path.iterdir()}
