"""``mediround chat`` with lines on standard input."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.boxes import Filler

from mediround.cli import main
from mediround.model.box_prompt import BoxPrompt
from mediround.session import Session

Answers = Callable[..., None]
Talk = Callable[..., str]


@pytest.fixture
def talk(png: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """``talk("line", …, words=[…])``: what the command prints."""

    def run(*lines: str, words: list[str] | None = None) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert main(["chat", str(png), "--model", "tiny", *(words or [])]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


def test_questions_are_answered_and_kept(talk: Talk, tmp_path: Path, answers: Answers) -> None:
    answers("The nerve is [1].", "The blood vessel is [2].")
    out = tmp_path / "kept"
    printed = talk("Segment the nerve.", "What lies beside [1]?", words=["--out", str(out)])
    assert "Research use only" in printed
    assert "The blood vessel is [2]." in printed
    assert str(out / "overlay.png") in printed
    assert "score" in printed
    assert len(json.loads((out / "session.json").read_text())["rounds"]) == 2
    assert (out / "overlay.png").is_file()
    assert f"The session is in {out}." in printed


def test_errors_are_told_and_do_not_end_it(talk: Talk, answers: Answers) -> None:
    answers("The nerve is [1].")
    printed = talk(
        "What lies beside [7]?", "/nonsense", "/save", "/save 'open", "/save a b c",
        "/save /nowhere/at/all", "Segment the nerve.", "/quit", "never read",
    )  # fmt: skip
    assert printed.count("error: ") == 6
    assert "[7], which does not exist" in printed
    assert "The nerve is [1]." in printed
    assert "This dialogue was not saved" in printed


def test_a_box_gives_a_mask(talk: Talk, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = talk("/box 4,4,20,20")
    assert "cannot find a structure in a box" in printed
    monkeypatch.setattr(BoxPrompt, "beside", lambda _network: Filler(64))
    answers("It is [2].")
    printed = talk("/box 4,4,x", "/box 4,4,20,20", "What lies beside [1]?", "/undo", "/masks")
    assert printed.count("error: ") == 1
    assert "[1] unnamed" in printed
    assert "given" in printed
    assert "It is [2]." in printed


def test_undo_redo_masks_help(talk: Talk, answers: Answers) -> None:
    answers("The nerve is [1].")
    printed = talk(
        "/masks",
        "/undo",
        "Segment the nerve.",
        "/undo",
        "/masks",
        "/redo",
        "/redo",
        "/masks",
        "/help",
    )
    for text in ("nothing to undo", "undone; 0 rounds", "done again; 1 round", "nothing to redo"):
        assert text in printed
    assert printed.count("no masks yet") == 2
    assert printed.count("[1] nerve") == 2  # in the answer and in the list
    assert "/export DIR" in printed


def test_save_export_and_resume(talk: Talk, tmp_path: Path, answers: Answers) -> None:
    answers("The nerve is [1].")
    file, folder = tmp_path / "my case.json", tmp_path / "exported"
    printed = talk("Segment the nerve.", f"/save '{file}'", f"/export {folder}")
    assert "not saved" not in printed
    assert {"mask_1.png", "overlay_1.png", "overlay.png", "session.json"} == {
        each.name for each in folder.iterdir()
    }
    again = talk("/masks", words=["--resume", str(file)])
    assert "The nerve is [1]." in again
    assert "[1] nerve" in again


def test_the_picture_of_an_unkept_chat_goes_with_it(talk: Talk, answers: Answers) -> None:
    answers("The nerve is [1].")
    printed = talk("Segment the nerve.", "/save /dev/null/x")
    (line,) = {word for word in printed.split() if word.endswith("overlay.png")}
    assert not Path(line).parent.exists()


def test_ctrl_c_ends_it_politely(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "ask", interrupted)
    assert "The session is in" in talk("Segment the nerve.", words=["--out", str(tmp_path / "o")])


def test_bad_starts_are_one_line_and_code_2(
    png: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, named in (
        ([str(tmp_path / "none.png")], "no file"),
        ([str(png), "--model", "huge"], "no model 'huge'"),
        ([str(png), "--resume", str(png), "--model", "tiny"], "not a session"),
    ):
        assert main(["chat", *words]) == 2
        error = capsys.readouterr().err
        assert named in error
        assert error.count("\n") == 1
