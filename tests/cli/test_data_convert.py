"""``mediround data convert`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.cli import main
from mediround.dialogue import Dialogue, Entity, Round


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """Two dialogues: one that the official format can say, one that ends with plain talk."""
    (tmp_path / "images").mkdir()
    PillowImage.fromarray(np.full((16, 16), 80, np.uint8)).save(tmp_path / "images" / "ct.png")
    mask = np.zeros((16, 16), bool)
    mask[2:9, 3:8] = True
    first = Round(query="Segment the liver.", text="Sure, [1].", entities=(_named(1, mask),))
    second = Round(
        query="[1] Now what lies beside it.", text="It is [2].", entities=(_named(2, mask.T),)
    )
    thanks = Round(query="Thank you.", text="You are welcome.")
    dialogues = [
        Dialogue(image="images/ct.png", rounds=rounds)
        for rounds in ((first, second), (first, thanks))
    ]
    path = tmp_path / "typed.jsonl"
    path.write_text("".join(each.model_dump_json() + "\n" for each in dialogues))
    return path


def _named(number: int, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Entity:
    return Entity.from_mask(number, mask, name="liver" if number == 1 else None)


def test_refused_then_dropped_then_back(
    typed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official = tmp_path / "official" / "all.json"
    assert main(["data", "convert", str(typed), str(official)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "an answer draws nothing" in error
    assert "--drop" in error
    assert not official.exists()

    assert main(["data", "convert", str(typed), str(official), "--drop"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"{official}: 2 of 2 dialogues",
        "rounds dropped: 1 – an answer draws nothing",
        "1 refer to nothing: the official loader stops at them",
    ]
    again = tmp_path / "again.jsonl"
    assert main(["data", "convert", str(official), str(again), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["read"], counts["written"], counts["refused"]) == (2, 2, {})
    lines = again.read_text().splitlines()
    first = Dialogue.model_validate_json(typed.read_text().splitlines()[0])
    assert Dialogue.model_validate_json(lines[0]) == first


def test_recorded_dialogues(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(golden / "data" / "dialogues.json"), tmp_path / "typed.jsonl"
    assert main(["data", "convert", source, str(out)]) == 0
    assert main(["data", "convert", str(out), str(tmp_path / "b" / "again.json")]) == 0
    assert "4 of 4 dialogues" in capsys.readouterr().out
    again = json.loads((tmp_path / "b" / "again.json").read_text())
    assert again == json.loads(Path(source).read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.jsonl", "a.json"], "no file or folder"),
        (["typed.jsonl", "a.txt"], "ends neither in"),
        (["typed.jsonl", "a.json", "--to", "coco"], "--to is 'coco'"),
        (["typed.jsonl", "a.jsonl"], "holds typed dialogues already"),
        (["images", "a.json"], "holds no dataset.json"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    typed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(typed.parent)
    assert main(["data", "convert", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
