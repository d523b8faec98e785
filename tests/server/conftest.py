"""Servers in this process, with a tiny model that talks; and pictures to send."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.talkative import talkative
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.server.app import create_app
from mediround.server.settings import Rates, ServerSettings
from mediround.session import Model

MakeServer = Callable[..., TestClient]
FAST = Rates(
    work=1e6,
    work_burst=10**6,
    reading=1e6,
    reading_burst=10**6,
    strangers=1e6,
    strangers_burst=10**6,
)


def png(seed: int, shape: tuple[int, ...] = (60, 72)) -> bytes:
    """A picture that differs from seed to seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    out = io.BytesIO()
    PillowImage.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``talkative`` does to its process must not stay in this one."""
    monkeypatch.setattr("mediround.session.reader.LONGEST_ANSWER", 6)


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    """One for all servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediround.session.reader.LONGEST_ANSWER", 6)
        yield talkative()


@pytest.fixture(scope="module")
def make_server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeServer]:
    """``make_server(setting=…)``: a started server; a ``data`` folder may be given again."""
    started: list[TestClient] = []

    def make(**settings: Any) -> TestClient:
        settings.setdefault("data", tmp_path_factory.mktemp("served"))
        chosen = ServerSettings(**({"rates": FAST} | settings))
        client = TestClient(
            create_app(chosen, lambda: model),
            base_url="http://127.0.0.1",
            raise_server_exceptions=False,
        )
        started.append(client.__enter__())
        return client

    yield make
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> TestClient:
    """One with the usual settings."""
    return make_server()


@pytest.fixture(scope="module")
def image(server: TestClient) -> dict[str, Any]:
    """An uploaded picture."""
    return upload(server, png(0))


def upload(server: TestClient, data: bytes, **query: Any) -> dict[str, Any]:
    answer = server.post("/v1/images", content=data, params=query)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def open_session(server: TestClient, image: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    answer = server.post("/v1/sessions", json={"image": image["id"], **wanted})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ask(server: TestClient, session: dict[str, Any], query: str) -> dict[str, Any]:
    answer = server.post(f"/v1/sessions/{session['id']}/ask", json={"query": query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def square() -> NDArray[np.bool_]:
    """A mask of (60, 72)."""
    mask = np.zeros((60, 72), dtype=bool)
    mask[20:40, 10:30] = True
    return mask


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
