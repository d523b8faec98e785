"""The benchmark of rounds measures what it says: three loops over one dialogue."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("round_loops")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("rounds")


def test_the_loops_hold_the_same_dialogue_and_read_the_same_tokens(loops: Any) -> None:
    plan = loops.Plan("tiny", "cpu", 1, 4, False, "noise")
    model, image = plan.load()
    kept, anew = loops.Kept(model, image, plan), loops.Anew(model, image, plan)
    parts = loops.Parts(model, image, plan)
    for _ in range(4):
        kept.ask()
        anew.ask()
        parts.prepare(kept.session.dialogue)
        parts.ask()
    said = kept.session.dialogue
    assert [each.text for each in said.rounds] == [each.text for each in anew.dialogue.rounds]
    assert [each.query for each in said.rounds] == [each.query for each in anew.dialogue.rounds]
    assert "[3]" in said.rounds[3].query
    for one, other in zip(said.entities(), anew.dialogue.entities(), strict=True):
        assert one.mask is not None
        assert other.mask is not None
        # Sums in another order may move a logit across 0.
        assert np.mean(one.mask.decode() != other.mask.decode()) < 0.01
    assert parts.cache.tensors.get_seq_length() == sum(parts.new_tokens)


def test_ratios_are_held_against_their_bars(rounds: Any) -> None:
    times = {"kept": [1.0, 0.5, 0.6], "anew": [2.0, 3.0, 4.0], "parts": [1.0, 0.4, 0.4]}
    assert rounds._against_growing(times) == pytest.approx(4.29, abs=0.01)
    found = rounds.judged(times, paper=False)
    values = {name: (round(each["value"], 2), each["met"]) for name, each in found.items()}
    assert values == {
        "speed-up of the total": (5.71, True),
        "last round / second": (1.2, True),
        "kept / parts": (1.17, True),
    }
    times = {"kept": [1.0, 1.0], "anew": [2.0, 2.0], "parts": [0.5, 0.5]}
    slow = rounds.judged(times, paper=False)
    met = {name: each["met"] for name, each in slow.items()}
    assert met == {
        "speed-up of the total": False,
        "last round / second": True,
        "kept / parts": False,
    }
