"""The whole evaluation on made data with a random model, and its command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mediround.cli import main
from mediround.data.scene.relations import RelationKind
from mediround.errors import ConfigError
from mediround.evaluation import EvaluationSettings, Setting, evaluate, report
from mediround.evaluation.cases import CURVES, Case, table
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.pool import ModelSource
from mediround.evaluation.settings import RANDOM
from mediround.evaluation.swapped import SwappedSettings

TINY = ModelSource("tiny", "cpu")
PLOTS = {"rounds", "entities", "judge", "propagation", "cases"}
FILES = {"report.json", "report.md", "cases.csv", "cases.parquet"} | {f"{p}.png" for p in PLOTS}


@pytest.fixture(scope="module")
def result(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out") / "made"
    twins = SwappedSettings(kinds=(RelationKind.IDENTITY,), pairs=1)
    settings = EvaluationSettings(text="gold", swapped=twins, limit=2)
    return out, evaluate(TINY, dataset, out, settings)


def test_everything_is_written(result: tuple[Path, dict[str, Any]]) -> None:
    out, found = result
    assert {path.name for path in out.iterdir()} == FILES | {"swapped.json"}
    assert json.loads((out / "swapped.json").read_text()) == json.loads(
        json.dumps(found["swapped"])
    )
    stored = json.loads((out / "report.json").read_text())
    assert stored == json.loads(json.dumps({k: v for k, v in found.items() if k != "swapped"}))
    for name in PLOTS:
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({name}.png)" in (out / "report.md").read_text()


def test_the_report_says_what_the_cases_say(result: tuple[Path, dict[str, Any]]) -> None:
    out, found = result
    with (out / "cases.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["entity"]]
    own = [row for row in rows if (row["text"], row["references"]) == ("gold", "predicted")]
    assert {(row["text"], row["references"]) for row in rows} == {
        (each.text, each.references) for each in (*CURVES, RANDOM)
    }
    for number in {row["round"] for row in own} | {"all"}:
        dice = [float(row["dice"]) for row in own if number in (row["round"], "all")]
        ious = [float(row["iou"]) for row in own if number in (row["round"], "all")]
        assert found["rounds"][number]["n"] == len(dice)
        assert found["rounds"][number]["dice"] == pytest.approx(sum(dice) / len(dice), abs=1e-5)
        assert found["rounds"][number]["giou"] == pytest.approx(sum(ious) / len(ious), abs=1e-5)
    for key, column in (("entities", "entity"), ("kinds", "kind")):
        assert set(found[key]) == {row[column] for row in own}
        assert sum(each["n"] for each in found[key].values()) == len(own)
    assert set(found["curves"]) == {each.name for each in CURVES}
    assert found["curves"][Setting("gold", "predicted").name]["rounds"] == found["rounds"]
    low, high = found["ci95"]["dice"]
    assert low <= found["rounds"]["all"]["dice"] <= high
    assert found["judge"]["n"] == sum(row["score"] != "" for row in own)
    assert sum(found["outcomes"].values()) == len(own)


def test_processes_do_not_change_a_number(dataset: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(text="gold", curves=False, ablations=False)
    for workers in (1, 2):
        evaluate(TINY, dataset, tmp_path / str(workers), settings, workers=workers)
    for name in ("cases.csv", "cases.parquet", "report.json", "report.md"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def case(**changes: Any) -> Case:
    values: dict[str, Any] = {
        "text": "free",
        "references": "predicted",
        "dataset": "made",
        "patient": "p1",
        "slice": "p1_1",
        "dialogue": 0,
        "round": 1,
        "kind": "name",
        "needs_reference": False,
        "named": True,
        "entity": "liver",
        "outcome": "drawn",
        "predicted_name": "liver",
        "overlap": Overlap(1, 2),
        "score": 0.5,
        "drawn": 1,
        "query": "The liver, please.",
        "answer": "The liver is [1].",
    }
    return Case(**{**values, **changes})


def test_refusals_extra_masks_and_names_are_counted() -> None:
    nothing: dict[str, Any] = {"entity": None, "overlap": None, "score": None, "kind": "absent"}
    cases = [
        case(drawn=3),
        case(round=2, entity="spleen"),
        case(round=3, outcome="missed", score=None, drawn=0, overlap=Overlap(0, 9)),
        case(round=4, outcome="unaskable", score=None, drawn=0, overlap=Overlap(0, 9)),
        case(round=5, outcome="missed", drawn=0, **nothing),
        case(round=6, drawn=1, **nothing),
    ]
    found = report.build(cases, Setting(), [Setting()], 0)
    assert found["refusals"] == {
        "absent": {"n": 2, "refused": 1},
        "present": {"n": 3, "refused": 1},
        "extra_masks": 2,
    }
    assert found["name_accuracy"] == {"n": 2, "accuracy": 0.5}
    assert found["outcomes"] == {"drawn": 2, "missed": 1, "unaskable": 1}
    assert found["rounds"]["all"]["n"] == 4
    assert found["rounds"]["all"]["ciou"] == pytest.approx(2 / 22)
    assert found["ci95"]["dice"] is None  # one patient


def test_a_perfect_judge_is_recognised() -> None:
    overlaps = [Overlap(n, 10) for n in range(11)]
    judge = report.judge([case(overlap=o, score=o.iou) for o in overlaps])
    assert judge["spearman"] == pytest.approx(1)
    assert judge["mae"] == judge["ece"] == pytest.approx(0)
    assert judge["datasets"]["made"]["n"] == 11


def test_the_table_keeps_commas_and_quotes() -> None:
    query = 'The "liver", please,\nnow.'
    rows = list(csv.DictReader(table([case(query=query)]).splitlines(keepends=True)))
    assert rows[0]["query"] == query
    assert float(rows[0]["dice"]) == pytest.approx(2 / 3, abs=1e-6)


def test_settings_that_ask_for_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="neither dialogues nor swapped"):
        EvaluationSettings(dialogues=False)
    with pytest.raises(ConfigError, match="limit is 0"):
        EvaluationSettings(limit=0)


def test_the_command_prints_a_table_or_json(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["evaluate", "--model", "tiny", "--data", str(dataset), "--device", "cpu"]
    quick = ["--text", "gold", "--no-curves", "--no-ablations", "--limit", "1"]
    assert main([*common, *quick, "--out", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr()
    assert "gold text, predicted references" in printed.out
    assert printed.err == ""
    assert main([*common, *quick, "--out", str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rounds"]["1"]["n"] >= 1
    twins = ["--no-dialogues", "--swapped", "--kind", "identity", "--pairs", "1"]
    assert main([*common, *twins, "--out", str(tmp_path / "c"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["swapped"]
    assert found["kinds"]["identity"]["both_right"]["n"] == 1
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"report.md", "swapped.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "missing"], "no dataset.json"),
        (["--kind", "nephew", "--swapped"], "kind 'nephew'; expected one of identity"),
        (["--only", "Dataset7"], "holds no Dataset7"),
        (["--no-dialogues"], "neither dialogues nor swapped"),
        (["--references", "none"], "none"),
    ],
)
def test_bad_input_is_one_line(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    defaults = ["--model", "tiny", "--data", str(dataset), "--out", str(tmp_path)]
    assert main(["evaluate", *defaults, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
