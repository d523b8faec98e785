from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.data.rewriting.stub import REPLIES, Stub, network, polite, serving

from mediround.data.rewriting.endpoint import Endpoint, RewriteSettings
from mediround.errors import ConfigError, EndpointError

QUESTIONS = [("Segment the liver.", "short"), ("Outline [1].", "plain"), ("分割[2]。", "plain")]
ANSWERS = tuple(polite(text) for text, _ in QUESTIONS)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as served:
        yield served


def endpoint(stub: Stub, waits: list[float], **changes: Any) -> Endpoint:
    settings = RewriteSettings(url=stub.url, model="m", **{"timeout": 5.0, **changes})
    return Endpoint(settings, sleep=waits.append, transport=network())


def test_a_proper_answer(stub: Stub) -> None:
    waits: list[float] = []
    reply = endpoint(stub, waits, api_key="secret").rewrite(QUESTIONS)
    assert reply.texts == ANSWERS
    assert (reply.retries, reply.input_tokens, reply.output_tokens) == (0, 100, 50)
    assert waits == []
    assert stub.keys == ["Bearer secret"]
    assert stub.requests[0]["path"] == "/v1/chat/completions"
    assert stub.requests[0]["model"] == "m"


@pytest.mark.parametrize("step", ["fenced", "reversed"])
def test_answers_in_a_fence_or_another_order_are_understood(stub: Stub, step: str) -> None:
    stub.plan.append(step)
    assert endpoint(stub, []).rewrite(QUESTIONS).texts == ANSWERS


def test_without_a_key_none_is_sent(stub: Stub) -> None:
    endpoint(stub, []).rewrite(QUESTIONS)
    assert stub.keys == [None]


BROKEN = sorted(set(REPLIES) - {"ok", "fenced", "reversed", "half", "numbers"})


@pytest.mark.parametrize("step", [*BROKEN, "429", "500", "503", "408", "hang up"])
def test_what_may_pass_is_tried_again(stub: Stub, step: str) -> None:
    waits: list[float] = []
    stub.plan.extend([step, step])
    reply = endpoint(stub, waits).rewrite(QUESTIONS)
    assert reply.texts == ANSWERS
    assert reply.retries == 2
    assert waits == [0.5, 1.0]


def test_a_timeout_is_tried_again(stub: Stub) -> None:
    stub.plan.append("slow")
    reply = endpoint(stub, [], timeout=0.2).rewrite(QUESTIONS)
    assert reply.texts == ANSWERS
    assert reply.retries == 1


def test_the_wait_that_the_server_asks_for_is_kept(stub: Stub) -> None:
    waits: list[float] = []
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    stub.plan.extend(["429 after 7", f"503 after {then}", "429 after soon"])
    assert endpoint(stub, waits).rewrite(QUESTIONS).texts == ANSWERS
    assert waits[0] == 7.0
    assert 25 < waits[1] <= 30
    assert waits[2] == 2.0  # no number, no date: the usual wait


def test_a_date_that_has_passed_means_no_wait(stub: Stub) -> None:
    waits: list[float] = []
    stub.plan.append("429 after Wed, 21 Oct 2015 07:28:00 GMT")
    endpoint(stub, waits).rewrite(QUESTIONS)
    assert waits == [0.0]


def test_waits_grow_to_the_longest(stub: Stub) -> None:
    waits: list[float] = []
    stub.plan.extend(["500"] * 6)
    endpoint(stub, waits, attempts=7, longest_wait=3.0).rewrite(QUESTIONS)
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_wait_beyond_the_longest_ends_the_run(stub: Stub) -> None:
    stub.plan.append("429 after 3600")
    with pytest.raises(EndpointError, match="asks to wait 3600 s; expected at most 60 s"):
        endpoint(stub, []).rewrite(QUESTIONS)


@pytest.mark.parametrize("step", ["half", "numbers"])
def test_missing_answers_stay_open(stub: Stub, step: str) -> None:
    stub.plan.append(step)
    expected = (ANSWERS[0], None, ANSWERS[2]) if step == "half" else (None, None, None)
    assert endpoint(stub, []).rewrite(QUESTIONS).texts == expected


def test_after_the_last_attempt_questions_stay_open(stub: Stub) -> None:
    stub.plan.extend(["500"] * 3)
    reply = endpoint(stub, [], attempts=3).rewrite(QUESTIONS)
    assert reply.texts == (None, None, None)
    assert reply.retries == 2
    assert len(stub.requests) == 3


def test_a_dead_endpoint_ends_the_run_after_a_few_batches(stub: Stub) -> None:
    stub.always = "500"
    dead = endpoint(stub, [], attempts=1)
    for _ in range(4):
        assert dead.rewrite(QUESTIONS).texts == (None, None, None)
    with pytest.raises(EndpointError, match="answered none of 5 batches in a row"):
        dead.rewrite(QUESTIONS)


def test_an_answer_resets_the_patience(stub: Stub) -> None:
    stub.plan.extend(["500", "500", "500", "500", "ok", "500"])
    patient = endpoint(stub, [], attempts=1)
    for _ in range(6):
        patient.rewrite(QUESTIONS)


@pytest.mark.parametrize("step", ["400", "401", "403", "404", "301"])
def test_a_refusal_ends_the_run_at_once(stub: Stub, step: str) -> None:
    stub.plan.append(step)
    with pytest.raises(EndpointError, match=f"refused with status {step}") as caught:
        endpoint(stub, [], api_key="secret").rewrite(QUESTIONS)
    assert "secret" not in str(caught.value)
    assert len(stub.requests) == 1


def test_nobody_listens() -> None:
    settings = RewriteSettings(url="http://127.0.0.1:9/v1", model="m", attempts=1)
    nobody = Endpoint(settings, sleep=lambda seconds: None, transport=network())
    for _ in range(4):
        assert nobody.rewrite(QUESTIONS).texts == (None, None, None)
    with pytest.raises(EndpointError, match="ConnectError"):
        nobody.rewrite(QUESTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "localhost:8000/v1"},
        {"url": "ftp://host/v1"},
        {"url": "http://"},
        {"model": " "},
        {"batch": 0},
        {"parallel": 0},
        {"attempts": 0},
        {"timeout": 0.0},
        {"variants": 0},
        {"variants": 99},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RewriteSettings(**{"url": "http://host/v1", "model": "m", **changes})


def test_the_key_is_in_no_description_of_the_settings() -> None:
    settings = RewriteSettings(url="http://host/v1", model="m", api_key="secret")
    assert "secret" not in repr(settings)
