"""Sessions over HTTP: the whole life of one."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image as PillowImage
from tests.server.conftest import ask, open_session, png, upload

from mediround.dialogue import Rle
from mediround.imaging import Image
from mediround.session import Model


@pytest.fixture
def session(server: TestClient, image: dict[str, Any]) -> dict[str, Any]:
    return open_session(server, image)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith("event: "):
            name, data = block.split("\n", 1)
            found.append((name[7:], json.loads(data[6:])))
    return found


def code(mask: NDArray[np.bool_]) -> dict[str, Any]:
    return Rle.encode(mask).model_dump(mode="json")


def test_answers_are_those_of_the_session_engine(
    server: TestClient, session: dict[str, Any], model: Model
) -> None:
    pixels = np.asarray(PillowImage.open(io.BytesIO(png(0))))
    local = model.open(Image.from_array(pixels))
    for query in ("Segment the liver.", "Now what lies beside [1].", "And the other one?"):
        mine, theirs = local.ask(query), ask(server, session, query)["turn"]
        assert theirs["text"] == mine.text
        assert [e["id"] for e in theirs["entities"]] == [e.id for e in mine.entities]
        for entity, own in zip(theirs["entities"], mine.entities, strict=True):
            assert entity["score"] == pytest.approx(own.score, abs=1e-5)
            assert own.mask is not None
            assert np.array_equal(Rle.model_validate(entity["mask"]).decode(), own.mask)
    assert any(turn.entities for turn in local.turns)


def test_an_answer_is_streamed(server: TestClient, session: dict[str, Any]) -> None:
    answer = server.post(
        f"/v1/sessions/{session['id']}/ask",
        json={"query": "Segment the liver."},
        headers={"Accept": "text/event-stream"},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    names = [name for name, _ in found]
    done = found[-1][1]
    assert names[-1] == "done"
    assert names.index("started") < names.index("text") < names.index("done")
    assert [e for name, e in found if name == "entity"] == done["turn"]["entities"]
    texts = [data["text"] for name, data in found if name == "text"]
    assert texts[-1] == done["turn"]["text"]
    assert done["session"] == server.get(f"/v1/sessions/{session['id']}").json()


def test_a_question_that_cannot_be_asked_changes_nothing(
    server: TestClient, session: dict[str, Any]
) -> None:
    for query, kind in (("", "QueryError"), ("like [7]", "UnknownReferenceError")):
        answer = server.post(f"/v1/sessions/{session['id']}/ask", json={"query": query})
        assert (answer.status_code, answer.json()["type"]) == (400, kind)
    assert server.get(f"/v1/sessions/{session['id']}").json()["revision"] == 0


def test_corrections_are_steps_that_can_be_taken_back(
    server: TestClient, session: dict[str, Any], square: NDArray[np.bool_]
) -> None:
    at = f"/v1/sessions/{session['id']}"
    given = server.post(f"{at}/entities", json={"box": [5, 6, 20, 30], "name": "mine"}).json()
    assert given["entities"][0]["status"] == "given"
    assert given["entities"][0]["box"] == [5, 6, 20, 30]
    replaced = server.put(f"{at}/entities/1/mask", json={"mask": code(square)}).json()
    assert Rle.model_validate(replaced["entities"][0]["mask"]).decode().sum() == square.sum()
    renamed = server.patch(f"{at}/entities/1", json={"name": "liver"}).json()
    assert renamed["entities"][0]["name"] == "liver"
    removed = server.delete(f"{at}/entities/1").json()
    assert removed["entities"][0]["removed"]
    assert removed["entities"][0]["mask"] is None
    states = [removed]
    for expected in (renamed, replaced, given):
        states.append(server.post(f"{at}/undo").json())
        assert states[-1]["entities"] == expected["entities"]
        assert states[-1]["can_redo"]
    for expected in (replaced, renamed, removed):
        assert server.post(f"{at}/redo").json()["entities"] == expected["entities"]
    assert server.post(f"{at}/redo").status_code == 409
    changes = [each["change"] for each in server.get(f"{at}/history").json()["versions"]]
    assert changes == ["open", "give", "replace", "rename", "remove"]


def test_masks_travel_as_png_too(
    server: TestClient, session: dict[str, Any], square: NDArray[np.bool_]
) -> None:
    at = f"/v1/sessions/{session['id']}"
    out = io.BytesIO()
    PillowImage.fromarray(square.astype(np.uint8) * 200).save(out, format="PNG")
    sent = {"png": base64.b64encode(out.getvalue()).decode()}
    assert server.post(f"{at}/entities", json=sent).status_code == 201
    shown = server.get(f"{at}/entities/1/mask.png")
    assert np.array_equal(np.asarray(PillowImage.open(io.BytesIO(shown.content))) == 255, square)
    PillowImage.fromarray(~square).save(out := io.BytesIO(), format="PNG")
    put = server.put(
        f"{at}/entities/1/mask", content=out.getvalue(), headers={"Content-Type": "image/png"}
    )
    assert np.array_equal(Rle.model_validate(put.json()["entities"][0]["mask"]).decode(), ~square)


@pytest.mark.parametrize(
    "body",
    [
        {"mask": {"size": [60, 71], "counts": "0"}},
        {"mask": {"size": [60, 72], "counts": "####"}},
        {"mask": {"size": [60, 72], "counts": "o~~~~~~~~~"}},
        {"box": [5, 5, 5, 9]},
        {"box": [200, 200, 220, 220]},
        {"box": [30, 5, 20, 9]},
        {"box": [5, 5, 30, 30], "fit": "structure"},
        {"box": [5, 5, 6, 6], "fit": "structure"},
        {"mask": {"size": [60, 72], "counts": "0"}, "fit": "structure"},
        {"png": "AAAA"},
        {"png": "not base64"},
        {},
    ],
)
def test_masks_that_are_none(
    server: TestClient, session: dict[str, Any], body: dict[str, Any]
) -> None:
    answer = server.post(f"/v1/sessions/{session['id']}/entities", json=body)
    assert answer.status_code == 400
    assert answer.json()["found"]


@pytest.mark.parametrize("box", ["[1, 2, NaN, 4]", "[1, 2, 1e999, 4]", "[1, 2, 3]", '"all"'])
def test_boxes_that_are_none(server: TestClient, session: dict[str, Any], box: str) -> None:
    at = f"/v1/sessions/{session['id']}/entities"
    headers = {"Content-Type": "application/json"}
    for fit in ("rectangle", "structure"):
        body = f'{{"box": {box}, "fit": "{fit}"}}'
        answer = server.post(at, content=body, headers=headers)
        assert 400 <= answer.status_code < 500
        assert answer.json()["found"]
    assert server.post(at, json={"box": [5, 5, 30, 30], "fit": "circle"}).status_code == 422


def test_what_a_later_question_names_cannot_be_removed(
    server: TestClient, session: dict[str, Any]
) -> None:
    at = f"/v1/sessions/{session['id']}"
    server.post(f"{at}/entities", json={"box": [5, 6, 20, 30]})
    ask(server, session, "What is beside [1]?")
    answer = server.delete(f"{at}/entities/1")
    assert (answer.status_code, answer.json()["type"]) == (409, "ConflictError")


def test_export_and_resume(
    server: TestClient, image: dict[str, Any], session: dict[str, Any]
) -> None:
    at = f"/v1/sessions/{session['id']}"
    server.post(f"{at}/entities", json={"box": [5, 6, 20, 30], "name": "mine"})
    ask(server, session, "What is beside [1]?")
    saved = server.get(f"{at}/export?to=session")
    assert "filename" in saved.headers["content-disposition"]
    body = {"file": saved.json(), "image": image["id"], "title": "again"}
    resumed = server.post("/v1/sessions/resume", json=body).json()
    now = server.get(at).json()
    assert (resumed["rounds"], resumed["entities"]) == (now["rounds"], now["entities"])
    other = upload(server, png(5))
    refused = server.post("/v1/sessions/resume", json={**body, "image": other["id"]})
    assert refused.json()["type"] == "SessionFileError"
    pictures = server.get(f"{at}/export?to=png")
    names = zipfile.ZipFile(io.BytesIO(pictures.content)).namelist()
    assert "mask_1.png" in names
    assert server.get(f"{at}/export?to=stl").status_code == 400


def test_list_retitle_delete(server: TestClient, image: dict[str, Any]) -> None:
    session = open_session(server, image, title="first")
    at = f"/v1/sessions/{session['id']}"
    assert server.patch(at, json={"title": "second"}).json()["title"] == "second"
    line = server.get("/v1/sessions").json()["sessions"][0]
    assert (line["id"], line["title"]) == (session["id"], "second")
    assert server.get(line["thumbnail"]).headers["content-type"] == "image/png"
    assert server.delete(f"/v1/images/{image['id']}").status_code == 409
    assert server.delete(at).status_code == 204
    assert server.get(at).status_code == 404
