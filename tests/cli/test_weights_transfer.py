"""``mediround weights import`` and ``export``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file

from mediround.cli import main
from mediround.imaging.raster import read_mask


@pytest.fixture
def golden() -> Path:
    if "MEDIROUND_SHARED" not in os.environ:
        pytest.skip("MEDIROUND_SHARED names no recorded checkpoints")
    return Path(os.environ["MEDIROUND_SHARED"]) / "golden"


@pytest.fixture
def bases(golden: Path) -> list[str]:
    models = golden / "models"
    return ["--base", str(models / "llm_tiny"), "--base", str(models / "clip_tiny")]


def test_the_report_lists_every_key(
    tmp_path: Path, golden: Path, bases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = golden / "checkpoints" / "plain_stage2.safetensors"
    state = load_file(source)
    state["extra.weight"] = state["lm_head.weight"].clone()
    save_file(state, tmp_path / "a.safetensors")
    out = tmp_path / "out"
    words = ["weights", "import", str(tmp_path / "a.safetensors"), *bases, "--json"]
    assert main([*words, "--out", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["used"]) == set(state) - {"extra.weight"}
    assert report["unexpected"] == ["extra.weight"]
    assert report["missing"] == []
    assert report["out"] == str(out)
    assert (out / "config.json").is_file()
    assert main(["weights", "export", str(out), "--out", str(tmp_path / "x"), "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["naming"] == "plain"
    assert exported["files"] == ["model.safetensors"]
    assert set(exported["tensors"]) == set(report["used"])


def test_an_imported_model_answers_and_draws(
    tmp_path: Path, golden: Path, bases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = golden / "checkpoints" / "plain_stage2.safetensors"
    model, out = tmp_path / "official", tmp_path / "result"
    assert main(["weights", "import", str(source), *bases, "--out", str(model)]) == 0
    image = golden / "data" / "images" / "C.png"
    words = ["segment", str(image), "-q", "Segment the liver.", "--model", str(model)]
    capsys.readouterr()
    assert main([*words, "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "official"
    assert len(report["weights_sha256"]) == 64
    [first] = report["rounds"]
    assert [each["id"] for each in first["entities"]] == [1]
    with PillowImage.open(image) as picture:
        size = picture.size
    mask = read_mask(out / "mask_1.png")
    assert mask.shape == size[::-1]
    assert mask.any()
    assert (out / "overlay.png").is_file()


def test_a_missing_key_is_code_1_after_the_whole_report(
    tmp_path: Path, golden: Path, bases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    state = load_file(golden / "checkpoints" / "plain_stage2.safetensors")
    del state["model.norm.weight"]
    save_file(state, tmp_path / "a.safetensors")
    words = ["weights", "import", str(tmp_path / "a.safetensors"), *bases]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 1
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["missing"] == ["model.norm.weight"]
    assert report["out"] is None
    assert said.err.count("\n") == 1
    assert "1 needed tensors are missing: model.norm.weight" in said.err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--dry-run"]) == 1
    assert "missing: 1\n  model.norm.weight\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "nowhere", "--out", "x"], "nowhere does not exist"),
        (["import", "nowhere"], "--out"),
        (["import", "text", "--out", "x"], "holds no tensors"),
        (["export", "nowhere", "--out", "x"], "no model"),
        (["export", "nowhere", "--out", "x", "--names", "y"], "--names"),
    ],
)
def test_bad_input_is_code_2_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no tensors")
    assert main(["weights", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["text"]
