"""Versions on disk, the audit trail, and the pools of what is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, insert, text
from tests.server.conftest import MakeServer, ask, open_session, png, upload

from mediround.dialogue import Dialogue, Entity, Round
from mediround.model.mediround import ImageFeatures
from mediround.server import audit
from mediround.server.database import open_database
from mediround.server.features import FeatureDisk
from mediround.server.history import ConflictError, History, NotFoundError
from mediround.server.tables import ImageRow

PLACE: dict[str, Any] = {"plane": None, "slice": None, "sha256": "x", "modality": "CT"}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(tmp_path)
    with engine.begin() as connection:
        row = {"id": "i", "owner": "ann", "created": "", "sha256": "", "size": 1, "about": {}}
        connection.execute(insert(ImageRow), row)
    return engine


def dialogue(rounds: int, seed: int = 0) -> Dialogue:
    random = np.random.default_rng(seed)
    made = []
    for number in range(1, rounds + 1):
        entity = Entity.from_mask(number, random.random((9, 11)) > 0.5, name="liver", score=0.5)
        made.append(Round(query=f"q{number}", text=f"a [{number}]", entities=(entity,)))
    return Dialogue(modality="CT", rounds=tuple(made))


def test_versions_and_steps(engine: Engine) -> None:
    history = History(engine)
    kept = [history.create("ann", "i", "t", PLACE, ("m", "w"), Dialogue(modality="CT"))]
    one = kept[0].id
    for rounds in (1, 2, 3):
        kept.append(history.commit(one, "ann", dialogue(rounds), "ask", {}))
    assert History(engine).get(one, "ann").dialogue == dialogue(3)
    for back in (2, 1, 0):
        assert history.step(one, "ann", -1).dialogue == kept[back].dialogue
    with pytest.raises(ConflictError):
        history.step(one, "ann", -1)
    assert history.step(one, "ann", 1).dialogue == dialogue(1)
    other = history.commit(one, "ann", dialogue(1, seed=5), "replace", {})
    assert not other.can_redo
    assert other.revision == 8
    with pytest.raises(NotFoundError):
        history.get(one, "ben")
    history.delete(one, "ann")
    with pytest.raises(NotFoundError):
        history.get(one, "ann")


def test_every_event_is_in_an_unbroken_chain(engine: Engine) -> None:
    history = History(engine)
    one = history.create("ann", "i", "Jane Doe", PLACE, ("m", "w"), Dialogue(modality="CT")).id
    history.commit(one, "ann", dialogue(1), "ask", {"prompt": "q1"})
    history.step(one, "ann", -1)
    history.delete(one, "ann")
    assert audit.verify(engine) == 4
    with engine.connect() as connection:
        assert "Jane" not in str(connection.execute(text("select * from audit")).all())


@pytest.mark.parametrize(
    "change",
    [
        'update audit set detail = \'{"prompt": "other"}\' where id = 2',
        "update audit set account = 'ben' where id = 1",
        "delete from audit where id = 2",
        "update audit set id = id + 1 where id = 3",
    ],
)
def test_a_changed_trail_is_noticed(engine: Engine, change: str) -> None:
    history = History(engine)
    one = history.create("ann", "i", "t", PLACE, ("m", "w"), Dialogue(modality="CT")).id
    history.commit(one, "ann", dialogue(1), "ask", {"prompt": "q1"})
    history.commit(one, "ann", dialogue(2), "ask", {"prompt": "q2"})
    with engine.begin() as connection:
        connection.execute(text(change))
    with pytest.raises(audit.AuditError):
        audit.verify(engine)


def test_sessions_that_leave_memory_answer_the_same(make_server: MakeServer) -> None:
    roomy, narrow = make_server(), make_server(live_sessions=1, feature_bytes=1, at_once=1)
    answers = []
    for server in (roomy, narrow):
        sessions = [open_session(server, upload(server, png(seed))) for seed in range(2)]
        for query in ("Segment the liver.", "And beside it?", "More."):
            for session in sessions:
                turn = ask(server, session, query)["turn"]
                answers.append((turn["text"], [each["mask"] for each in turn["entities"]]))
    assert answers[:6] == answers[6:]
    assert any(masks for _, masks in answers)
    gauges = narrow.get("/metrics").text
    assert "mediround_live_sessions 1.0" in gauges
    evicted = next(
        line for line in gauges.splitlines() if line.startswith("mediround_evicted_sessions ")
    )
    assert float(evicted.split()[1]) >= 4


def test_features_on_disk_are_bounded(tmp_path: Path) -> None:
    disk = FeatureDisk(tmp_path, most=10_000)
    made = {}
    for number in range(6):
        part = torch.full((1, 250), float(number))
        made[number] = ImageFeatures(part, part + 1, part + 2)
        disk.put(str(number), made[number])
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000
    found = disk.get("5", torch.device("cpu"))
    assert found is not None
    assert torch.equal(found.grid, made[5].grid)
    assert disk.get("0", torch.device("cpu")) is None
    (tmp_path / "5.safetensors").write_bytes(b"damaged")
    assert disk.get("5", torch.device("cpu")) is None
