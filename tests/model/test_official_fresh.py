"""Base models become a MediRound with untrained heads, when that is asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file
from tests.model.test_official_folder import small
from tests.weights.conftest import in_process  # noqa: F401  (a fixture)
from torch import Tensor

from mediround.cli import main
from mediround.config import ClipPerceptionConfig, MistralConfig, ModelConfig
from mediround.errors import WeightsError
from mediround.model.folder import save_model
from mediround.model.loading import compose, load_model
from mediround.model.official.folder import write_model
from mediround.model.official.fresh import with_fresh_heads
from mediround.model.official.keys import to_official, to_ours
from mediround.model.official.mistral import bytewise
from mediround.weights.importing import examine
from mediround.weights.layouts import part_of

State = dict[str, Tensor]
WORDS = ("model.embed_tokens.weight", "lm_head.weight")
ADDED = 3


def _config() -> ModelConfig:
    """Kilobytes, with a table of words that its tokenizer fills to the last row."""
    config = small()
    assert isinstance(config.language, MistralConfig)
    language = dataclasses.replace(config.language, vocabulary=bytewise().size)
    return dataclasses.replace(config, language=language)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the paper's configuration, as a folder of ours."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    save_model(compose(_config()), folder, {})
    return folder


@pytest.fixture(scope="module")
def official(whole: Path) -> State:
    """Its tensors under official names, without adapter, judge and corrector."""
    state = load_file(whole / "model.safetensors")
    named = {to_official(name): each for name, each in state.items() if ".lora_" not in name}
    return {name: each for name, each in named.items() if part_of(name) != "jcm"}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, whole: Path, official: State) -> list[Path]:
    """LLaVA-Med with its configuration and tokenizer, CLIP, and MedSAM, as they are published."""
    folder = tmp_path_factory.mktemp("bases")

    def only(*parts: str) -> State:
        return {name: each for name, each in official.items() if part_of(name) in parts}

    llava, clip = folder / "llava-med", folder / "clip"
    llava.mkdir()
    clip.mkdir()
    words = {name: official[name][:-ADDED].clone() for name in WORDS}
    save_file(only("language", "projector") | words, llava / "model.safetensors")
    config = _config()
    language, tower = config.language, config.perception
    assert isinstance(language, MistralConfig)
    assert isinstance(tower, ClipPerceptionConfig)
    said = {
        "model_type": "llava_mistral",
        "hidden_size": language.width,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads,
        "rms_norm_eps": language.norm_eps,
        "rope_theta": language.rope_theta,
        "max_position_embeddings": language.context,
    }
    (llava / "config.json").write_text(json.dumps(said))
    (llava / "tokenizer.json").write_bytes((whole / "tokenizer.json").read_bytes())
    heads = {"model_type": "clip_vision_model", "num_attention_heads": tower.heads}
    (clip / "config.json").write_text(json.dumps(heads))
    stem = "model.vision_tower.vision_tower."
    save_file(
        {n.removeprefix(stem): e for n, e in only("tower").items()}, clip / "model.safetensors"
    )
    sam = {name.removeprefix("model.visual_model."): each for name, each in only("sam").items()}
    torch.save(sam, folder / "medsam_vit_b.pth")
    return [llava, clip, folder / "medsam_vit_b.pth"]


def _made(bases: list[Path], folder: Path, seed: int) -> State:
    heads = folder / f"heads-{seed}-{len(list(folder.iterdir()))}"
    heads.mkdir(parents=True)
    write_model(with_fresh_heads(examine(bases), heads, seed=seed), heads / "model")
    return load_file(heads / "model" / "model.safetensors")


@pytest.mark.usefixtures("in_process")
def test_what_was_trained_stays_and_the_heads_are_new(
    tmp_path: Path, bases: list[Path], official: State
) -> None:
    state = _made(bases, tmp_path, 3)
    assert state.keys() == {to_ours(name) for name in official}
    for name, each in official.items():
        found = state[to_ours(name)]
        assert found.shape == each.shape
        if name in WORDS:
            assert torch.equal(found[:-ADDED], each[:-ADDED])
            rows, known = found[-ADDED:].float(), each[:-ADDED].float()
            assert len(torch.unique(rows, dim=0)) == ADDED
            assert ((rows - known.mean(0)).abs() < 6 * known.std(0)).all()
        elif part_of(name) in ("seg", "box"):
            inputs = official[f"{name.rpartition('.')[0]}.weight"].shape[1]
            assert 0 < found.abs().max() <= inputs**-0.5
            assert not torch.equal(found, each)
        else:
            assert torch.equal(found, each)


@pytest.mark.usefixtures("in_process")
def test_equal_seeds_give_equal_heads(tmp_path: Path, bases: list[Path]) -> None:
    one, same, other = (_made(bases, tmp_path, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == {name for name in one if _is_new(name)}


def _is_new(name: str) -> bool:
    official = to_official(name)
    return official in WORDS or part_of(official) in ("seg", "box")


def test_by_the_command_line_to_a_mask(
    tmp_path: Path, bases: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    words = ["weights", "import", *map(str, bases), "--out", str(out)]
    assert main(words) == 1
    assert "--fresh-heads" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--fresh-heads", "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    assert "untrained: " in printed
    assert "train the model before" in printed
    record = json.loads((out / "imported.json").read_text())
    assert record["fresh_seed"] == 5
    assert {part_of(name) for name in record["fresh"]} == {"seg", "box"}
    assert load_model(str(out), device="cpu").name == "model"
    PillowImage.new("L", (40, 32), 90).save(tmp_path / "image.png")
    asked = [
        "segment",
        str(tmp_path / "image.png"),
        "-q",
        "Segment the liver.",
        "--model",
        str(out),
    ]
    assert main([*asked, "--out", str(tmp_path / "result"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "model"


def test_a_dry_run_tells_and_writes_nothing(
    bases: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["weights", "import", *map(str, bases), "--fresh-heads", "--dry-run", "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stage"] == 1
    assert report["out"] is None
    assert len(report["fresh"]) == 6


@pytest.mark.usefixtures("in_process")
def test_heads_are_made_for_complete_bases_alone(
    tmp_path: Path, bases: list[Path], official: State
) -> None:
    with pytest.raises(WeightsError, match="fresh heads for language, projector, sam"):
        with_fresh_heads(examine([bases[0], bases[2]]), tmp_path)
    save_file(
        {name: official[name] for name in official if part_of(name) == "box"},
        tmp_path / "box.safetensors",
    )
    save_file(official, tmp_path / "all.safetensors")
    with pytest.raises(WeightsError, match="fresh heads for .*seg, box"):
        with_fresh_heads(examine([tmp_path / "all.safetensors"], bases=bases[:2]), tmp_path)
