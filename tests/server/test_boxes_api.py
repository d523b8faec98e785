"""Boxes over HTTP, with a model that finds structures in them and with one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.boxes import Filler, boxy
from tests.server.conftest import FAST, open_session, png, upload

from mediround.client import Client
from mediround.client.session import RemoteSession
from mediround.dialogue import Rle
from mediround.model.box_prompt import BoxPrompt
from mediround.server.app import create_app
from mediround.server.settings import ServerSettings
from mediround.session import Model

BOX = [10, 20, 30, 44]


@pytest.fixture
def finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A server whose model finds exactly what a box covers."""
    monkeypatch.setattr(BoxPrompt, "beside", lambda _network: Filler(64))
    with boxy() as network:
        app = create_app(
            ServerSettings(data=tmp_path, rates=FAST, at_once=2),
            lambda: Model(network, "boxy", "0" * 64),
        )
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as made:
            yield made


def test_a_structure_is_found_in_a_box(finding: TestClient) -> None:
    session = open_session(finding, upload(finding, png(0)))
    at = f"/v1/sessions/{session['id']}"
    sent = {"box": BOX, "fit": "structure", "name": "liver"}
    answer = finding.post(f"{at}/entities", json=sent)
    assert answer.status_code == 201
    [entity] = answer.json()["entities"]
    assert (entity["name"], entity["status"], entity["score"]) == ("liver", "given", None)
    assert entity["box_prompt"] == BOX
    assert Rle.model_validate(entity["mask"]).decode().any()
    assert finding.post(f"{at}/undo").json()["entities"] == []
    [again] = finding.post(f"{at}/redo").json()["entities"]
    assert again == entity
    saved = finding.get(f"{at}/export?to=session").json()
    assert saved["given"][0]["box_prompt"] == BOX
    removed = finding.delete(f"{at}/entities/1").json()["entities"][0]
    assert removed["box_prompt"] is None


def test_a_box_is_a_rectangle_unless_it_is_said(finding: TestClient) -> None:
    session = open_session(finding, upload(finding, png(0)))
    expected = np.zeros((60, 72), bool)
    expected[20:44, 10:30] = True
    for sent in ({"box": BOX}, {"box": BOX, "fit": "rectangle"}):
        answer = finding.post(f"/v1/sessions/{session['id']}/entities", json=sent)
        entity = answer.json()["entities"][-1]
        assert entity["box_prompt"] is None
        assert np.array_equal(Rle.model_validate(entity["mask"]).decode(), expected)


def test_the_server_says_what_boxes_may_stand_for(finding: TestClient, server: TestClient) -> None:
    for each in (finding, server):
        open_session(each, upload(each, png(1)))  # by then the model is there
        while each.get("/readyz").status_code != 200:
            pass
    assert finding.get("/v1/info").json()["box_fits"] == ["structure", "rectangle"]
    assert server.get("/v1/info").json()["box_fits"] == ["rectangle"]


def test_a_model_that_cannot_says_so(server: TestClient, image: dict[str, Any]) -> None:
    session = open_session(server, image)
    sent = {"box": BOX, "fit": "structure"}
    answer = server.post(f"/v1/sessions/{session['id']}/entities", json=sent)
    assert (answer.status_code, answer.json()["type"]) == (400, "InputError")
    assert "rectangle" in answer.json()["remedy"]
    assert server.get(f"/v1/sessions/{session['id']}").json()["revision"] == 0


def test_a_box_from_python_without_torch(
    finding: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = open_session(finding, upload(finding, png(2)))

    def call(_self: object, method: str, path: str, body: Any = None) -> Any:
        return finding.request(method, path, json=body).json()

    monkeypatch.setattr(Client, "call", call)
    session = RemoteSession(Client("http://127.0.0.1"), view)
    entity = session.add_box((10, 20, 30, 200), "liver")
    assert list(entity.box_prompt or ()) == [10, 20, 30, 60]
    assert list(session.add_box(BOX, fit="rectangle").box or ()) == [10, 20, 30, 44]
