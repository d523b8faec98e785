"""Interrupted evaluations go on where they stopped, and only their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediround.errors import ConfigError
from mediround.evaluation import hold as holding
from mediround.evaluation.evaluate import evaluate
from mediround.evaluation.journal import Journal, fingerprint
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.pool import ModelSource

TINY = ModelSource("tiny", "cpu")
QUICK = EvaluationSettings(text="gold", curves=False, ablations=False, boundary=False)


def test_results_are_taken_over_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "one")
    journal.add("a", [1])
    journal.add("b", {"x": None})
    path.write_text(path.read_text() + '{"key": "c", "resu')
    again = Journal(path, "one")
    assert again.done == {"a": [1], "b": {"x": None}}
    again.add("c", 3)
    assert Journal(path, "one").done == {"a": [1], "b": {"x": None}, "c": 3}


def test_another_evaluation_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, "one").add("a", 1)
    assert Journal(path, "two").done == {}
    assert Journal(path, "one").done == {}


def test_fingerprints_tell_content_apart() -> None:
    assert fingerprint({"a": 1, "b": Path("x")}) == fingerprint({"b": Path("x"), "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_an_interrupted_evaluation_gives_the_same_report(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(TINY, dataset, tmp_path / "whole", QUICK)
    held: list[str] = []
    real = holding._hold_case

    def counted(model: Any, chosen: Any, *rest: Any, **named: Any) -> Any:
        if len(held) == 1:
            raise KeyboardInterrupt
        held.append(chosen.case)
        return real(model, chosen, *rest, **named)

    monkeypatch.setattr(holding, "_hold_case", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(TINY, dataset, tmp_path / "parts", QUICK)
    assert (tmp_path / "parts" / "journal.jsonl").is_file()
    asked: list[str] = []

    def rest_of(model: Any, chosen: Any, *rest: Any, **named: Any) -> Any:
        asked.append(chosen.case)
        return real(model, chosen, *rest, **named)

    monkeypatch.setattr(holding, "_hold_case", rest_of)
    evaluate(TINY, dataset, tmp_path / "parts", QUICK)
    assert not set(asked) & set(held)
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in (tmp_path / "parts").iterdir()} == names
    for name in ("report.json", "cases.parquet", "cases.csv", "report.md"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_weights_do_not_continue_a_journal(dataset: Path, tmp_path: Path) -> None:
    class OnceError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise OnceError

    from mediround.evaluation.material import find_material

    chosen = find_material(dataset, QUICK, lambda done, total: None).chosen
    journal = Journal(tmp_path / "journal", "one")
    with pytest.raises(OnceError):
        holding.hold(chosen, TINY, QUICK, journal=journal, progress=stop)
    (key,) = journal.done
    journal.done[key]["weights"] = "others"
    with pytest.raises(ConfigError, match="weights have changed"):
        holding.hold(chosen, TINY, QUICK, journal=journal)
