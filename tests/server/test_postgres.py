"""Sessions in PostgreSQL are what they are in SQLite, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, inspect, text
from tests import postgres
from tests.server.conftest import MakeServer, ask, open_session, png, upload

from mediround.server import audit
from mediround.server.database import StorageError, open_database

pytestmark = pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.running(tmp_path_factory.mktemp("pg")) as found:
        yield found


def talk(server: TestClient) -> dict[str, Any]:
    """A session with everything in it."""
    session = open_session(server, upload(server, png(7)))
    at = f"/v1/sessions/{session['id']}"
    server.post(f"{at}/entities", json={"box": [5, 6, 20, 30], "name": "Gefäß ☤"})
    ask(server, session, "What is beside [1]?")
    server.patch(f"{at}/entities/1", json={"name": "aorta"})
    server.post(f"{at}/undo")
    found: dict[str, Any] = server.get(at).json()
    return found


def told(session: dict[str, Any]) -> dict[str, Any]:
    """What does not differ from run to run."""
    return {key: session[key] for key in ("rounds", "entities", "revision", "can_redo", "title")}


def test_a_session_is_the_same_in_both(
    make_server: MakeServer, server: TestClient, url: str, tmp_path: Path
) -> None:
    with_postgres = make_server(data=tmp_path, database=url)
    mine, theirs = talk(server), talk(with_postgres)
    assert told(theirs) == told(mine)
    with_postgres.__exit__(None, None, None)
    again = make_server(data=tmp_path, database=url)
    at = f"/v1/sessions/{theirs['id']}"
    assert again.get(at).json() == theirs
    assert again.post(f"{at}/redo").json()["entities"][0]["name"] == "aorta"
    assert again.delete(at).status_code == 204
    assert again.delete(f"/v1/images/{theirs['image']}").status_code == 204


def test_the_audit_trail_is_whole_after_many_writers(url: str, make_server: MakeServer) -> None:
    server = make_server(database=url)
    image = upload(server, png(8))
    sessions = [open_session(server, image) for _ in range(4)]

    def work(session: dict[str, Any]) -> None:
        for _ in range(4):
            box = {"box": [1, 1, 9, 9]}
            answer = server.post(f"/v1/sessions/{session['id']}/entities", json=box)
            assert answer.status_code == 201

    threads = [threading.Thread(target=work, args=(each,)) for each in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine = open_database(server.app.state.services.settings.data, url)  # type: ignore[attr-defined]
    before = audit.verify(engine)
    assert before >= 4 * 5
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit SET account = 'somebody' WHERE id = 3"))
    with pytest.raises(audit.AuditError):
        audit.verify(engine)
    engine.dispose()


def test_the_tables_are_those_of_sqlite(url: str, tmp_path: Path) -> None:
    one, other = open_database(tmp_path), open_database(tmp_path, url)
    names = set(inspect(one).get_table_names())
    assert set(inspect(other).get_table_names()) == names
    for name in names:
        columns = [{c["name"] for c in inspect(each).get_columns(name)} for each in (one, other)]
        assert columns[0] == columns[1]
    one.dispose()
    other.dispose()


def test_a_server_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        open_database(tmp_path, f"postgresql+psycopg://tester@/postgres?host={tmp_path}")


def test_signs_that_postgres_cannot_store_are_refused(make_server: MakeServer, url: str) -> None:
    server = make_server(database=url)
    session = open_session(server, upload(server, png(9)))
    at = f"/v1/sessions/{session['id']}"
    assert server.patch(at, json={"title": "a\0b"}).status_code == 422
    assert (
        server.post(f"{at}/entities", json={"box": [1, 1, 9, 9], "name": "a\0"}).status_code == 422
    )
    assert server.post(f"{at}/ask", json={"query": "a\0"}).status_code in (200, 422)
    for path in ("sessions/%00", "images/%00", "sessions/a%00b/history"):
        assert server.get(f"/v1/{path}").status_code == 404
    saved = server.get(f"{at}/export").json()
    saved["given"] = [{"id": 1, "name": "a\0", "status": "absent"}]
    body = {"file": saved, "image": session["image"]}
    assert server.post("/v1/sessions/resume", json=body).status_code in (201, 400)


def test_large_numbers_fit(url: str) -> None:
    """An upload may have more bytes than 32 bits count."""
    engine = create_engine(url)
    kinds = {c["name"]: str(c["type"]) for c in inspect(engine).get_columns("images")}
    assert kinds["size"] == "BIGINT"
    engine.dispose()
