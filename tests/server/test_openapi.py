"""Everything that the OpenAPI document promises, asked at random of a real server."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server.conftest import FAST, png

from mediround.server.app import create_app
from mediround.server.settings import ServerSettings
from mediround.session import Model

EXAMPLES = 20
KEPT = ["/v1/sessions/{session}", "/v1/images/{image}"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def post(address: str, path: str, body: bytes, kind: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}{path}", data=body, headers={"Content-Type": kind}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.fixture(scope="module")
def address(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this process with a real socket."""
    settings = ServerSettings(data=tmp_path_factory.mktemp("openapi"), rates=FAST)
    app = create_app(settings, lambda: model)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def session(address: str) -> dict[str, Any]:
    """With two masks and a round, so that random questions meet something."""
    image = post(address, "/v1/images", png(1), "application/octet-stream")
    wanted = json.dumps({"image": image["id"]}).encode()
    opened = post(address, "/v1/sessions", wanted, "application/json")
    at = f"/v1/sessions/{opened['id']}"
    for box in ([1, 1, 9, 9], [5, 5, 30, 20]):
        post(address, f"{at}/entities", json.dumps({"box": box}).encode(), "application/json")
    post(address, f"{at}/ask", b'{"query": "Beside [1]?"}', "application/json")
    return opened


@pytest.fixture(scope="module")
def api(address: str, session: dict[str, Any]) -> BaseSchema:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")

    @schema.hook
    def map_path_parameters(
        _context: object, parameters: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        """Names that exist: nearly every other one would be answered by 404 alone."""
        known = {"session": session["id"], "image": session["image"], "number": 1}
        if parameters is None:
            return None
        return {name: known.get(name, value) for name, value in parameters.items()}

    return schema


def test_answers_are_as_promised(api: BaseSchema) -> None:
    """No error of the server, and every answer as the document says."""
    asked = set()
    for found in api.exclude(method="DELETE", path=KEPT).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def promised(case: Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS, timeout=60)

        promised()
        asked.add(operation.label)
    assert len(asked) >= 25, sorted(asked)


@pytest.mark.parametrize(
    "body",
    [
        b'{"file": ' + b"[" * 100_000,
        b'{"file": {"rounds": ' + b'{"a":' * 100_000,
        b'{"image": "' + b"9" * 10**6 + b'"}',
        b'{"file": {"modality": ' + b"9" * 10**5 + b'}, "image": "x"}',
        b"\xff\xfe",
        b"",
    ],
)
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/resume"])
def test_json_that_is_none_is_refused(address: str, path: str, body: bytes) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(address, path, body, "application/json")
    assert 400 <= refusal.value.code < 500
    assert set(json.load(refusal.value)) == {"type", "found", "expected", "remedy"}
