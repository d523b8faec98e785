"""Where the model of an evaluation comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediround.cli import main
from mediround.errors import ConfigError
from mediround.evaluation.pool import ModelSource, run
from mediround.model.low_bit import Int4Linear, Int8Linear
from mediround.session import Model


def layers(model: Model, item: type) -> int:
    """How many layers of this kind the language model has."""
    return sum(isinstance(each, item) for each in model.network.language.modules())


@pytest.mark.parametrize(("low_bit", "some"), [(None, [0, 0]), ("int8", [1, 0]), ("int4", [0, 1])])
def test_the_model_is_held_in_as_many_bits(low_bit: str | None, some: list[int]) -> None:
    source = ModelSource("tiny", "cpu", low_bit=low_bit)
    found = run(layers, [Int8Linear, Int4Linear], source)
    assert [count > 0 for count in found] == [bool(each) for each in some]


def test_the_report_says_in_how_many_bits(dataset: Path, tmp_path: Path) -> None:
    options = ["--model", "tiny", "--limit", "1", "--low-bit", "int8", "--no-curves"]
    options += ["--no-ablations", "--no-boundary", "--data", str(dataset), "--out", str(tmp_path)]
    assert main(["evaluate", *options]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["settings"]["low_bit"] == "int8"


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="low_bit is 'int2'"):
        run(layers, [Int8Linear], ModelSource("tiny", "cpu", low_bit="int2"))
