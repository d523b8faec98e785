"""A folder appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediround.errors import OutputError
from mediround.weights.staging import new_folder


def test_it_gets_its_name_at_the_end(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "out") as staged:
        (staged / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as staged:
        (staged / "file").write_text("x")
    assert (tmp_path / "out" / "file").exists()


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "out") as staged:
            (staged / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    for taken in (tmp_path / "out", tmp_path / "out" / "file"):
        with pytest.raises(OutputError, match="exists already"), new_folder(taken):
            pytest.fail("the block must not run")
    with pytest.raises(OutputError, match="cannot be made"), new_folder(Path("/proc/nowhere/x")):
        pytest.fail("the block must not run")
    assert (tmp_path / "out" / "file").read_text() == "mine"
