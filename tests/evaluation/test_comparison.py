"""Reports against each other, the cross-data-set matrix, and their command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.cli import main
from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.evaluation import report
from mediround.evaluation.cases import Case
from mediround.evaluation.comparison import Report, compare_reports, names_of
from mediround.evaluation.matrix import build, markdown
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.settings import Setting
from mediround.evaluation.storage import write_cases

Make = Callable[..., Path]


def cases(better: float = 0.0, datasets: tuple[str, ...] = ("ct", "mr")) -> list[Case]:
    """Eight patients a data set, two rounds each; ``better`` adds to every IoU."""
    found = []
    rng = np.random.default_rng(0)
    for dataset in datasets:
        for patient in range(8):
            for number in (1, 2):
                iou = float(rng.uniform(0.3, 0.6)) + better
                truth = Rle.encode(np.eye(4 + patient, dtype=bool))
                found.append(
                    Case(
                        text="free",
                        references="predicted",
                        dataset=dataset,
                        patient=f"p{patient}",
                        slice=f"p{patient}_1",
                        dialogue=0,
                        round=number,
                        kind="name",
                        needs_reference=False,
                        named=True,
                        entity="liver",
                        outcome="drawn",
                        predicted_name="liver",
                        overlap=Overlap(round(iou * 1000), 1000),
                        score=0.5,
                        drawn=1,
                        query="The liver.",
                        answer="The liver is [1].",
                        truth=truth,
                    )
                )
    return found


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str, some: list[Case]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        head: dict[str, Any] = {
            "model": name,
            "settings": {"text": "free", "references": "predicted", "correction": None},
        }
        head |= report.build(some, Setting(), [Setting()], 0)
        (folder / "report.json").write_text(json.dumps(head))
        write_cases(folder / "cases.parquet", some)
        return folder

    return write


def read(path: Path) -> Report:
    return Report.read(path, path.name)


def test_a_better_model_is_found_better_everywhere(make: Make) -> None:
    found = compare_reports([read(make("a", cases())), read(make("b", cases(0.2)))])
    (own,) = found["comparisons"]
    assert own["targets"] == 32
    rows = {(row["metric"], row["group"]): row for row in own["rows"]}
    groups = {group for _, group in rows}
    assert groups == {"all", "round 1", "round 2", "ct", "mr"}
    assert {metric for metric, _ in rows} == {"dice", "iou"}  # outlines were not measured
    overall = rows["iou", "all"]
    assert overall["difference"] == pytest.approx(0.2, abs=2e-3)
    assert overall["ci95"][0] > 0
    assert overall["clusters"] == 16
    assert all(row["p"] <= row["p_holm"] <= 1 for row in own["rows"])
    assert overall["p_holm"] < 0.05
    assert found["tests"] == len(own["rows"])


def test_a_model_does_not_differ_from_itself(make: Make) -> None:
    found = compare_reports([read(make("a", cases())), read(make("b", cases()))])
    for row in found["comparisons"][0]["rows"]:
        assert row["difference"] == 0
        assert row["p"] == row["p_holm"] == 1
        assert row["effect"] is None


def test_only_what_both_were_asked_is_compared(make: Make) -> None:
    found = compare_reports([read(make("a", cases())), read(make("b", cases()[:-3]))])
    assert found["comparisons"][0]["targets"] == 29
    assert found["comparisons"][0]["only_in_reference"] == 3


def test_other_dialogues_under_the_same_numbers_are_refused(make: Make) -> None:
    changed = [replace(case, entity="spleen") for case in cases()]
    with pytest.raises(DatasetError, match="asks for liver in a and for spleen in b"):
        compare_reports([read(make("a", cases())), read(make("b", changed))])
    with pytest.raises(DatasetError, match="no target in common"):
        compare_reports([read(make("c", cases())), read(make("d", cases(datasets=("us",))))])


def test_the_matrix_marks_a_models_own_data(make: Make) -> None:
    heads = []
    for trained, own in (("ct", 0.3), ("mr", 0.1)):
        folder = make(trained, cases(own))
        heads.append((trained, json.loads((folder / "report.json").read_text())))
    found = build(heads)
    assert found["columns"] == ["ct", "mr"]
    assert found["rows"]["ct"]["ct"]["own"]
    assert not found["rows"]["ct"]["mr"]["own"]
    assert found["own"] == pytest.approx(
        (found["rows"]["ct"]["ct"]["dice"] + found["rows"]["mr"]["mr"]["dice"]) / 2
    )
    assert markdown(found).count("**") == 4
    assert build([("ct+mr", heads[0][1])])["other"] is None


def test_the_command(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = str(make("a", cases())), str(make("b", cases(0.2)))
    out = tmp_path / "out"
    assert main(["compare", one, two, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "b minus a: 32 targets in both" in printed
    assert {path.name for path in out.iterdir()} == {"compare.json", "compare.md"}
    assert main(["compare", one, two, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "compare.json").read_text())
    assert main(["compare", one, two, "--matrix", "--name", "ct", "--name", "mr"]) == 0
    assert "ct" in capsys.readouterr().out
    named = ["--name", "ct", "--name", "mr", "--out", str(out)]
    assert main(["compare", one, f"{two}/report.json", "--matrix", *named]) == 0
    assert (out / "matrix.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A"], "one report; expected at least two"),
        (["A", "nowhere"], "cannot be read"),
        (["A", "B", "--metric", "f1"], "metric 'f1'; expected one of dice"),
        (["A", "B", "--name", "x"], "1 names for 2 reports"),
    ],
)
def test_bad_input_is_one_line(
    make: Make, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    known = {"A": str(make("a", cases())), "B": str(make("b", cases()))}
    assert main(["compare", *(known.get(word, word) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_short_names_differ() -> None:
    assert names_of([Path("/x/a/report.json"), Path("/x/b/report.json")]) == ["a", "b"]
    assert names_of([Path("/x/one/a/r.json"), Path("/x/two/a/r.json")]) == ["one/a", "two/a"]
