"""data build, check and stats as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.cli import main

NAMES = {"liver": (10, 40, 5, 50), "spleen": (60, 80, 10, 30), "aorta": (40, 50, 60, 70)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("src") / "Dataset900_Toy"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: n for n, name in enumerate(NAMES, 1)}},
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    for case in range(4):
        labels = np.zeros((90, 90), np.uint8)
        for value, (x0, x1, y0, y1) in enumerate(NAMES.values(), 1):
            labels[y0 + case : y1, x0:x1] = value
        noise = np.random.default_rng(case).integers(0, 40, labels.shape)
        PillowImage.fromarray((labels * 60 + noise).astype(np.uint8)).save(
            folder / f"imagesTr/case{case}_0000.png"
        )
        PillowImage.fromarray(labels).save(folder / f"labelsTr/case{case}.png")
    (folder / "labelsTr/case3.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "out"
    words = ["data", "build", str(source), "--out", str(out), "--dialogues", "30"]
    assert main([*words, "--split", "train=0.5,test=0.5", "--max-rounds", "3"]) == 0
    return out


def test_build_says_what_it_made_and_left_out(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["data", "build", str(source), "--out", str(out), "--dialogues", "12"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "bad cases: 1" in said.out
    assert f"data set: {out}" in said.out
    assert said.err == ""
    assert main([*words, "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert sum(counts["dialogues"] for counts in manifest["splits"].values()) == 12
    assert manifest == json.loads((out / "dataset.json").read_text())
    assert main([*words, "--seed", "1"]) == 2
    assert "other settings or sources" in capsys.readouterr().err


def test_max_rounds_is_kept(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(built), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["rounds"]) <= {"1", "2", "3"}
    assert sum(told["dialogues"].values()) == 30


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "train"], "--split is 'train'"),
        (["--split", "train=0.5"], "shares that add up to 1"),
        (["--dry-run"], "--dry-run without --rewrite"),
        (["--rewrite", "http://localhost:1/v1"], "--rewrite without --rewrite-model"),
    ],
)
def test_bad_options_are_one_line(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    out = str(tmp_path / "out")
    assert main(["data", "build", str(source), "--out", out, "--dialogues", "5", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_dry_run_estimates_and_writes_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "build", str(source), "--out", str(tmp_path / "out"), "--dialogues", "8"]
    rewrite = ["--rewrite", "http://localhost:1/v1", "--rewrite-model", "m", "--dry-run"]
    assert main([*words, *rewrite, "--price", "1", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["questions"] > 0
    assert told["cost"] > 0
    assert list(tmp_path.iterdir()) == []


def test_check_passes_and_fails(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(built), "--no-oracle"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert main(["data", "check", str(built), "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["oracle"]["marked"] > 0
    (built / "index.jsonl").rename(tmp_path / "index.jsonl")
    try:
        assert main(["data", "check", str(built), "--no-oracle"]) == 1
        assert "index: 1" in capsys.readouterr().err
    finally:
        (tmp_path / "index.jsonl").rename(built / "index.jsonl")
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "holds no dataset.json" in capsys.readouterr().err


def test_stats_with_plots(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plots"
    assert main(["data", "stats", str(built), "--plots", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "30 dialogues" in said
    written = {path.name for path in out.iterdir()}
    assert {"rounds.png", "reference-graph.png", "dialogues-1.png"} <= written
    assert all(str(out / name) in said for name in written)


@pytest.mark.parametrize("command", ["build", "check", "stats"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", command, "--help"]) == 0
    assert f"Example: mediround data {command}" in " ".join(capsys.readouterr().out.split())
