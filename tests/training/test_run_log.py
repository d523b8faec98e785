"""Events reach every place that was asked for, and survive a kill in the middle of a line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from mediround.errors import DependencyError
from mediround.training.run_log import RunLog, read_events


def test_lines_and_curves(tmp_path: Path) -> None:
    log = RunLog(tmp_path, tensorboard=True)
    log.log(step=0, loss=2.5)
    log.log(step=3, loss=1.5, validation={"Dice": 0.25, "note": "words are no curve"})
    log.log(event="out of memory", micro_batch=2)
    log.close()
    events = read_events(tmp_path)
    assert [event.get("loss") for event in events] == [2.5, 1.5, None]
    (file,) = (tmp_path / "tensorboard").iterdir()
    points = {}
    for raw in RawEventFileLoader(str(file)).Load():
        event = Event.FromString(raw)
        for value in event.summary.value:
            points[value.tag, event.step] = value.simple_value
    assert points == {("loss", 0): 2.5, ("loss", 3): 1.5, ("validation/Dice", 3): 0.25}


def test_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    RunLog(tmp_path).log(step=0, loss=2.0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 1, "lo')
    assert [event["step"] for event in read_events(tmp_path)] == [0]
    RunLog(tmp_path).log(step=1, loss=1.0)
    assert [event["loss"] for event in read_events(tmp_path)] == [2.0, 1.0]


def test_weights_and_biases_offline(tmp_path: Path) -> None:
    if importlib.util.find_spec("wandb") is None:
        with pytest.raises(DependencyError, match=r"mediround\[wandb\]"):
            RunLog(tmp_path, wandb="project", wandb_mode="offline")
        return
    log = RunLog(tmp_path, wandb="project", wandb_mode="offline", settings={"seed": "1"})
    log.log(step=0, loss=2.0)
    log.close()
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
