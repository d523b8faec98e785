"""A run on dialogues, end to end: it learns, it resumes, it is the same on several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import mediround
from mediround.errors import ConfigError
from mediround.training.run_log import read_events
from mediround.training.staged.recipe import DialogueRecipe
from mediround.training.staged.run import train

Make = Callable[..., DialogueRecipe]
Start = Callable[..., subprocess.Popen[bytes]]
LAST = Path("stage1") / "last.safetensors"


def losses(folder: Path, stage: int = 1) -> list[float]:
    """Of the steps, in their order; a step that was done again counts as it was last."""
    events = read_events(folder / f"stage{stage}")
    return [
        loss for _, loss in sorted({e["step"]: e["loss"] for e in events if "loss" in e}.items())
    ]


def equal(left: Path, right: Path) -> bool:
    first, second = load_file(left), load_file(right)
    return set(first) == set(second) and all(torch.equal(first[k], second[k]) for k in first)


def apart(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    return max(float((left[k] - right[k]).abs().max()) for k in left)


@pytest.mark.parametrize("preset", ["tiny", "official-tiny"])
def test_both_stages_of_a_preset(preset: str, recipe: Make, tmp_path: Path) -> None:
    small: dict[str, Any] = {}
    if preset == "official-tiny":
        small = {"vision": {"side": 128}, "perception": {"side": 56}, "language": {"lora_rank": 2}}
    wanted = recipe(
        preset,
        model=small,
        stage1={"steps": 6, "validate_every": 3, "keep_every": 4},
        stage2={"validate_every": 3},
        log={"tensorboard": True, "plot": True},
    )
    model = train(wanted, tmp_path, device="cpu")
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]
    assert len(losses(tmp_path, 2)) == 3
    assert (tmp_path / "stage1" / "step-00000004.safetensors").is_file()
    assert list((tmp_path / "stage1" / "tensorboard").iterdir())
    assert (tmp_path / "stage1" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    first = {name.split(".")[0] for name in load_file(tmp_path / LAST)}
    assert {"projection", "language", "segmenter"} <= first
    second = load_file(tmp_path / "stage2" / "best.safetensors")
    assert {name.split(".")[0] for name in second} <= {"judge", "corrector"}
    loaded = mediround.load(str(model), device="cpu")
    own = dict(loaded.network.judge.named_parameters())
    for name, tensor in second.items():
        if name.startswith("judge."):
            kept = own[name.removeprefix("judge.")]
            torch.testing.assert_close(kept, tensor, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_says_what_made_it(recipe: Make, tmp_path: Path) -> None:
    wanted = recipe(stage1={"steps": 2})
    train(wanted, tmp_path, stages=[1], device="cpu")
    with safe_open(tmp_path / LAST, "pt") as file:
        said = file.metadata()
    assert json.loads(said["config"])["name"] == "tiny"
    assert json.loads(said["recipe"])["stage1"]["steps"] == 2
    assert len(json.loads(said["data_sha256"])["talks.jsonl"]) == 64
    assert json.loads(said["progress"])["step"] == 2
    assert said["git_revision"] == "" or len(said["git_revision"].split("-")[0]) == 40


def test_passes_and_kept_features_change_rounding_alone(recipe: Make, tmp_path: Path) -> None:
    found = {}
    for name, execution, cache in (
        ("whole", {"micro_batch": 8}, True),
        ("one by one", {"micro_batch": 1, "prefetch": False}, False),
        ("short passes", {"micro_tokens": 1}, True),
        ("checkpointing", {"checkpointing": True}, True),
    ):
        folder = tmp_path / name
        wanted = recipe(execution=execution, data={"views": 2, "cache": cache})
        train(wanted, folder, stages=[1], device="cpu")
        found[name] = losses(folder)
        assert (folder / "features").exists() == cache
    for name, curve in found.items():
        assert curve == pytest.approx(found["whole"], rel=1e-5), name


def test_it_stops_early(recipe: Make, tmp_path: Path) -> None:
    wanted = recipe(stage1={"steps": 50, "rate": 0.0, "validate_every": 1, "patience": 2})
    train(wanted, tmp_path, stages=[1], device="cpu")
    assert len(losses(tmp_path)) == 3  # a first look, and two that are no better


def test_memory_runs_out(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the real place: deep in the network, for passes of more than two dialogues."""
    train(recipe(), tmp_path / "plain", stages=[1], device="cpu")
    from mediround.model.language_model import LanguageModel

    original = LanguageModel.forward

    def narrow(self: LanguageModel, vectors: Tensor, *rest: Any, **named: Any) -> Tensor:
        if len(vectors) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, vectors, *rest, **named)

    monkeypatch.setattr(LanguageModel, "forward", narrow)
    train(recipe(), tmp_path / "narrow", stages=[1], device="cpu")
    assert "memory ran out: passes of 2 dialogues" in caplog.text
    assert losses(tmp_path / "narrow") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    events = read_events(tmp_path / "narrow" / "stage1")
    assert [e["micro_batch"] for e in events if e.get("event") == "out of memory"] == [4, 2]


def test_memory_does_not_suffice_at_all(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediround.model.language_model import LanguageModel

    def never(*_: Any, **__: Any) -> Tensor:
        return torch.empty(10**15)  # what the host's allocator really raises

    monkeypatch.setattr(LanguageModel, "forward", never)
    with pytest.raises(ConfigError, match="does not suffice for one dialogue"):
        train(recipe(), tmp_path, stages=[1], device="cpu")


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediround.model.language_model import LanguageModel

    def broken(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(LanguageModel, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(recipe(), tmp_path, stages=[1], device="cpu")


def test_a_folder_is_not_overwritten(recipe: Make, tmp_path: Path) -> None:
    train(recipe(), tmp_path, stages=[1], device="cpu")
    with pytest.raises(ConfigError, match="already holds a run"):
        train(recipe(), tmp_path, stages=[1], device="cpu")
    with pytest.raises(ConfigError, match="run --stage 1 first"):
        train(recipe(), tmp_path / "other", stages=[2], device="cpu")
    other = recipe(stage1={"trained": ["projection."]})
    with pytest.raises(ConfigError, match="another model"):
        train(other, tmp_path, stages=[1], resume=True, device="cpu")


def write_recipe(path: Path, talks: Path, *, steps: int, execution: str = "") -> Path:
    path.write_text(
        f'kind = "dialogues"\npreset = "tiny"\nseed = 3\n'
        f'[data]\nsources = ["{talks}"]\nheld_out = 0.2\nviews = 2\n'
        f"[stage1]\nsteps = {steps}\ndialogues = 4\nwarmup = 1\nvalidate_every = 4\n"
        f"save_seconds = 0\n[log]\ntensorboard = false\nplot = false\n[execution]\n{execution}\n"
    )
    return path


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Python with some words; whatever still runs after the test is ended."""
    children = []

    def begin(*words: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, *words],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def finish(process: subprocess.Popen[bytes]) -> str:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said.decode()[-3000:]
    return said.decode()


def test_killed_and_resumed(talks_file: Path, tmp_path: Path, start: Start) -> None:
    """A process that is killed goes on where it was: not one bit of the curve is different."""
    config = write_recipe(tmp_path / "r.toml", talks_file, steps=14)
    options = ["train", str(config), "--stage", "1", "--device", "cpu"]
    child = start("-m", "mediround", *options, "--out", str(tmp_path / "killed"))
    log = tmp_path / "killed" / "stage1" / "log.jsonl"
    deadline = time.monotonic() + 200
    while not log.exists() or log.read_text().count('"loss"') < 5:
        assert child.poll() is None, child.communicate()[0].decode()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "killed" / LAST).exists()
    train(DialogueRecipe.read(config), tmp_path / "killed", stages=[1], resume=True, device="cpu")
    train(DialogueRecipe.read(config), tmp_path / "whole", stages=[1], device="cpu")
    steps = [e["step"] for e in read_events(log.parent) if "loss" in e]
    assert len(set(steps)) == 14
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert equal(tmp_path / "killed" / LAST, tmp_path / "whole" / LAST)


@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_two_processes(sharding: str, talks_file: Path, tmp_path: Path, start: Start) -> None:
    """The same command under torchrun: losses and weights of one process, up to rounding."""
    one = write_recipe(tmp_path / "one.toml", talks_file, steps=4)
    two = write_recipe(
        tmp_path / "two.toml", talks_file, steps=4, execution=f'sharding = "{sharding}"'
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    options = ["--stage", "1", "--device", "cpu"]
    out = tmp_path / "two"
    child = start(
        *launcher, "--module", "mediround", "train", str(two), *options, "--out", str(out)
    )
    train(DialogueRecipe.read(one), tmp_path / "one", stages=[1], device="cpu")
    finish(child)
    assert losses(out) == pytest.approx(losses(tmp_path / "one"), rel=2e-5)
    left, right = load_file(tmp_path / "one" / LAST), load_file(out / LAST)
    assert set(left) == set(right)
    # Adam divides by the gradient's size: where that is rounding alone, so is the step.
    assert apart(left, right) < 1e-3
    assert mediround.load(str(out / "stage1" / "model"), device="cpu").name == "tiny"
