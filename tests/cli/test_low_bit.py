"""``--low-bit`` reaches the weights, whichever command loads the model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from mediround.cli import main
from mediround.model.low_bit import Int4Linear, Int8Linear, is_low_bit
from mediround.session import Model, Session, Turn

KINDS: dict[str, type[nn.Module]] = {"int8": Int8Linear, "int4": Int4Linear}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """The models that were asked; they answer what they are told."""
    models: list[Model] = []
    ask = Session.ask

    def told(self: Session, query: str) -> Turn:
        models.append(self.model)
        return ask(self, query, text="The nerve is [1].")

    monkeypatch.setattr(Session, "ask", told)
    return models


def _check(model: Model, kind: str | None) -> None:
    layers = [each for each in model.network.language.modules() if type(each) in KINDS.values()]
    assert is_low_bit(model.network) == (kind is not None)
    assert {type(each) for each in layers} == ({KINDS[kind]} if kind else set())


@pytest.mark.parametrize("kind", [None, "int8", "int4"])
def test_segment(kind: str | None, png: Path, tmp_path: Path, asked: list[Model]) -> None:
    words = ["segment", str(png), "-q", "Segment the nerve.", "--out", str(tmp_path / "out")]
    assert main([*words, "--model", "tiny", *(["--low-bit", kind] if kind else [])]) == 0
    _check(asked[0], kind)


@pytest.mark.parametrize("kind", [None, "int8", "int4"])
def test_chat_and_its_resumption(
    kind: str | None,
    png: Path,
    tmp_path: Path,
    asked: list[Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["chat", str(png), "--model", "tiny", *(["--low-bit", kind] if kind else [])]
    monkeypatch.setattr("sys.stdin", io.StringIO("Segment the nerve.\n"))
    assert main([*words, "--out", str(tmp_path)]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("What is beside [1]?\n"))
    assert main([*words, "--resume", str(tmp_path / "session.json")]) == 0
    first, second = asked
    assert first is not second
    _check(first, kind)
    _check(second, kind)


@pytest.mark.parametrize("kind", [None, "int8"])
def test_serve(kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Model] = []

    def serve(_settings: object, load: Callable[[], Model], _announce: object) -> None:
        models.append(load())

    monkeypatch.setattr("mediround.server.process.serve", serve)
    words = ["serve", "--model", "tiny", "--data-dir", str(tmp_path)]
    assert main([*words, *(["--low-bit", kind] if kind else [])]) == 0
    _check(models[0], kind)


def test_other_numbers_of_bits_are_refused(
    png: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["segment", str(png), "-q", "Segment the nerve.", "--out", str(tmp_path / "out")]
    assert main([*words, "--low-bit", "int2"]) == 2
    assert "int8" in capsys.readouterr().err
