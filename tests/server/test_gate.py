"""Who may come in, how often, with how much."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.server.conftest import MakeServer, open_session, png, upload

from mediround.errors import InputError
from mediround.server.rates import Buckets
from mediround.server.settings import Rates, ServerSettings, is_loopback, parse_tokens

ANN, BEN = "a" * 20, "b" * 20
OPEN = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def guarded(make_server: MakeServer) -> TestClient:
    return make_server(tokens=parse_tokens([f"ann:{ANN}", f"ben:{BEN}"]))


def routes(client: TestClient) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI document."""
    app = client.app
    assert isinstance(app, FastAPI)
    return [
        (method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item
    ]


def called(client: TestClient, method: str, path: str, token: str | None, **ids: str) -> int:
    filled = re.sub(r"\{(\w+)\}", lambda found: ids.get(found.group(1), "1"), path)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: dict[str, Any] = {}
    if method in ("POST", "PUT", "PATCH"):
        body = {"json": {"query": "x", "title": "x", "name": "x", "box": [1, 1, 9, 9]}}
    return client.request(method, filled, headers=headers, **body).status_code


def test_without_a_valid_token_every_route_is_shut(guarded: TestClient) -> None:
    assert len(routes(guarded)) > 25
    for method, path in routes(guarded):
        for token in (None, "c" * 20, ANN[:-1], ""):
            status = called(guarded, method, path, token)
            assert status == 401 if path not in OPEN else status in (200, 503), (method, path)


def test_what_is_somebody_elses_is_not_there(guarded: TestClient) -> None:
    guarded.headers["Authorization"] = f"Bearer {ANN}"
    try:
        image = upload(guarded, png(1))
        session = open_session(guarded, image)
        before = guarded.get(f"/v1/sessions/{session['id']}").json()
        ids = {"image": image["id"], "session": session["id"], "name": "none"}
        for method, path in routes(guarded):
            if "{" in path:
                status = called(guarded, method, path, BEN, **ids)
                # A body is read before anything is looked up; a bad one says nothing of others.
                assert status in (404, 422), (method, path, status)
        other = {"Authorization": f"Bearer {BEN}"}
        stolen = guarded.post("/v1/sessions", json={"image": image["id"]}, headers=other)
        assert stolen.status_code == 404
        assert guarded.get("/v1/sessions", headers=other).json() == {"sessions": []}
        assert guarded.get("/v1/images", headers=other).json() == {"images": []}
        after = guarded.get(f"/v1/sessions/{session['id']}").json()
        assert {**after, "updated": ""} == {**before, "updated": ""}
    finally:
        del guarded.headers["Authorization"]


def test_without_tokens_only_this_machine_may_ask(server: TestClient) -> None:
    assert server.get("/v1/info", headers={"Host": "rebound.example"}).status_code == 403
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
        assert server.get("/v1/info", headers={"Host": host}).status_code == 200


def test_other_pages_may_not_use_somebodys_browser(server: TestClient) -> None:
    foreign = {"Origin": "http://elsewhere.example"}
    assert server.post("/v1/sessions", json={}, headers=foreign).status_code == 403
    own = {"Origin": "http://127.0.0.1"}
    assert server.post("/v1/sessions", json={}, headers=own).status_code == 422
    answer = server.get("/v1/info", headers=foreign)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_bodies_are_bounded_announced_or_not(make_server: MakeServer) -> None:
    small = make_server(upload_bytes=1000, mask_bytes=500)

    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 100

    assert small.post("/v1/images", content=b"x" * 1001).status_code == 413
    assert small.post("/v1/images", content=chunks()).status_code == 413
    assert small.post("/v1/sessions", content=b"x" * 501).status_code == 413
    assert small.post("/v1/sessions", content=chunks()).status_code == 413
    assert small.post("/v1/images", content=b"x" * 999).json()["type"] == "ImageFileError"


def test_who_comes_too_often_is_told_when_to_come_back(make_server: MakeServer) -> None:
    slow = make_server(rates=Rates(work=0.1, work_burst=2, reading=0.1, reading_burst=3))
    answers = [slow.get("/v1/info") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert [slow.post("/v1/sessions", json={}).status_code for _ in range(3)] == [422, 422, 429]
    assert slow.get("/healthz").status_code == 200


def test_buckets_fill_steadily() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == 0.5


def test_an_open_door_needs_a_token() -> None:
    from pathlib import Path

    with pytest.raises(InputError, match="without a token"):
        ServerSettings(data=Path("x"), host="0.0.0.0")
    assert ServerSettings(data=Path("x"), host="0.0.0.0", tokens=parse_tokens([ANN])).tokens


@pytest.mark.parametrize("word", ["short", "bad user:" + ANN, ":" + ANN])
def test_tokens_that_are_none(word: str) -> None:
    with pytest.raises(InputError):
        parse_tokens([word])


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "example.org", "10.0.0.1", ""))
