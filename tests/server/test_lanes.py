"""Several questions at once change nothing of the answers."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.talkative import talkative
from fastapi.testclient import TestClient
from PIL import Image as PillowImage
from tests.server.conftest import FAST, MakeServer, ask, open_session, png, upload

from mediround.imaging import Image
from mediround.server.app import create_app
from mediround.server.engine import SessionEngine, together_for
from mediround.server.gathering import GatheringSegmenter
from mediround.server.settings import ServerSettings

QUESTIONS = ("Segment the liver ({}).", "Now what lies beside it? ({})", "The other one, {}.")


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads is the process's; tests after this one find it as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def talk(server: TestClient, session: dict[str, Any], which: int) -> dict[str, Any]:
    for question in QUESTIONS:
        answered = ask(server, session, question.format(which))
    found: dict[str, Any] = answered["session"]
    return found


@pytest.mark.usefixtures("threads")
def test_dialogues_at_once_are_those_held_alone(make_server: MakeServer) -> None:
    alone, crowded = make_server(at_once=1), make_server(at_once=3, live_sessions=2)
    count = 6
    expected = [
        talk(alone, open_session(alone, upload(alone, png(n % 3))), n) for n in range(count)
    ]
    images = [upload(crowded, png(n % 3)) for n in range(count)]
    sessions = [open_session(crowded, image) for image in images]
    found: dict[int, dict[str, Any]] = {}

    def work(which: int) -> None:
        found[which] = talk(crowded, sessions[which], which)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    engine: SessionEngine = crowded.app.state.services.engine  # type: ignore[attr-defined]
    for which in range(count):
        one, other = expected[which], found[which]
        assert one["rounds"] == other["rounds"]
        for mine, theirs in zip(one["entities"], other["entities"], strict=True):
            assert mine["mask"] == theirs["mask"]
            # What is read again at once rounds otherwise than what was read round by round.
            assert mine["score"] == pytest.approx(theirs["score"], abs=1e-4)
    assert any(each["entities"] for each in expected)
    assert engine.model is not None
    assert engine.model.encoded_images == 3  # an image that two lanes want is encoded once
    assert len(engine.pool) <= 3


@pytest.mark.usefixtures("threads")
def test_what_is_computed_together_is_what_would_be_computed_alone(tmp_path: Path) -> None:
    """With a model of its own: the network is changed."""
    settings = ServerSettings(data=tmp_path, rates=FAST, at_once=4, together=4)
    app = create_app(settings, talkative)
    with TestClient(app, base_url="http://127.0.0.1") as server:
        sessions = [open_session(server, upload(server, png(20 + n))) for n in range(4)]
        found: dict[int, dict[str, Any]] = {}
        workers = [
            threading.Thread(target=lambda n=n: found.update({n: talk(server, sessions[n], n)}))
            for n in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        network = app.state.services.engine.model.network
        assert isinstance(network.segmenter, GatheringSegmenter)
        assert network.segmenter.encoding.arguments == 4
    alone = talkative()
    for which in range(4):
        pixels = np.asarray(PillowImage.open(io.BytesIO(png(20 + which))))
        local = alone.open(Image.from_array(pixels))
        for question in QUESTIONS:
            local.ask(question.format(which))
        assert [each["text"] for each in found[which]["rounds"]] == [t.text for t in local.turns]


def test_the_device_decides_how_many() -> None:
    assert together_for(torch.device("cpu")) == 1
    assert together_for(torch.device("cuda")) == 4
