"""An OpenAI-compatible endpoint that rewrites questions; every way it can fail has an answer.

Only the words of questions are sent: no image, no mask, no name of a case or a patient.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, Final

import httpx2

from mediround.errors import ConfigError, EndpointError

logger = logging.getLogger(__name__)

PROMPT: Final = (
    "You reword questions that people ask about medical images. You get a JSON list of objects "
    'with "id", "text" and "manner". For each, write the same question in other words, in the '
    "language of the text and in the given manner of speaking. Copy every reference such as [1] "
    "exactly, in the same order, and add none. Keep left and right, front and back, larger and "
    "smaller. Never name an anatomical structure that the text does not name, never drop one that "
    "it names, and never answer the question. "
    'Reply with JSON alone: {"rewrites": [{"id": 0, "text": "..."}]}.'
)
MANNERS: Final = (
    "a radiologist who dictates: short and formal",
    "a student: polite, a full sentence",
    "a lay person: plain everyday words",
    "in a hurry: as few words as possible",
    "a colleague in conversation",
    "a teacher who asks in an exam",
)
_RETRIED: Final = frozenset({408, 409, 425, 429})
_SERVER_ERRORS: Final = 500
_FIRST_WAIT: Final = 0.5
_PATIENCE: Final = 5  # batches in a row without an answer
_SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True)
class RewriteSettings:
    """Where questions are rewritten and how.

    Attributes:
        url: base of the API, such as ``http://localhost:8000/v1``; ``/chat/completions`` follows.
        model: name of the model there.
        api_key: sent as bearer token; appears in no message and no file.
        batch: questions a request.
        parallel: requests at once.
        variants: different rewrites of one question, 1 to the number of ``MANNERS``.
        timeout: seconds to wait for an answer.
        attempts: how often a request is sent before its questions keep their words.
        longest_wait: seconds between two attempts at most.
        input_price: of a million tokens sent, in any currency; None when unknown.
        output_price: of a million tokens received.

    Raises:
        ConfigError: the address is no http address, or a number is out of range.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    batch: int = 16
    parallel: int = 4
    variants: int = 4
    timeout: float = 60.0
    attempts: int = 5
    longest_wait: float = 60.0
    input_price: float | None = None
    output_price: float | None = None

    def __post_init__(self) -> None:
        try:
            address = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise ConfigError(f"the endpoint is {self.url!r}: {error}") from error
        if address.scheme not in ("http", "https") or not address.host:
            raise ConfigError(
                f"the endpoint is {self.url!r}", expected="an address such as http://host:8000/v1"
            )
        if not self.model.strip():
            raise ConfigError("the model of the endpoint has no name")
        if min(self.batch, self.parallel, self.attempts) < 1 or self.timeout <= 0:
            raise ConfigError(
                "a batch, the requests at once, the attempts or the timeout are below their least",
                expected="at least 1 each, and a timeout above 0 seconds",
            )
        if not 1 <= self.variants <= len(MANNERS):
            raise ConfigError(f"{self.variants} variants", expected=f"1 to {len(MANNERS)}")


@dataclass(frozen=True)
class Reply:
    """What came of one request.

    Attributes:
        texts: a rewrite for each question, None where the endpoint gave none.
        retries: attempts after the first.
        input_tokens: as the endpoint counted them; 0 when it did not.
        output_tokens: likewise.
    """

    texts: tuple[str | None, ...]
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class _AttemptError(Exception):
    """An attempt failed in a way that may pass; ``wait``: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Endpoint:
    """Sends batches of questions; may be used by several threads at once.

    Args:
        settings: where and how.
        sleep: waits so many seconds between attempts.
        transport: replaces the network, in tests.
    """

    def __init__(
        self,
        settings: RewriteSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._sleep = sleep
        headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        self._client = httpx2.Client(headers=headers, timeout=settings.timeout, transport=transport)
        self._url = f"{settings.url.rstrip('/')}/chat/completions"
        self._lock = Lock()
        self._failures_in_a_row = 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def rewrite(self, questions: Sequence[tuple[str, str]]) -> Reply:
        """Rewrite (question, manner) pairs; what stays unanswered is None.

        Raises:
            EndpointError: the endpoint refuses the request, or several batches in a row went
                without any answer.
        """
        reason = ""
        for attempt in range(self.settings.attempts):
            try:
                reply = self._attempt(questions, attempt)
            except _AttemptError as problem:
                reason = str(problem)
                if attempt + 1 < self.settings.attempts:
                    self._sleep(self._wait(attempt, problem.wait))
                continue
            with self._lock:
                self._failures_in_a_row = 0
            return reply
        logger.warning("%d questions keep their words: %s", len(questions), reason)
        with self._lock:
            self._failures_in_a_row += 1
            hopeless = self._failures_in_a_row >= _PATIENCE
        if hopeless:
            raise EndpointError(
                f"{self._url} answered none of {_PATIENCE} batches in a row, last: {reason}",
                remedy="check the endpoint; answers so far are in the cache, so run again later",
            )
        return Reply((None,) * len(questions), retries=self.settings.attempts - 1)

    def _attempt(self, questions: Sequence[tuple[str, str]], attempt: int) -> Reply:
        asked = [
            {"id": place, "text": text, "manner": manner}
            for place, (text, manner) in enumerate(questions)
        ]
        body = {
            "model": self.settings.model,
            "messages": [
                {"role": "system", "content": PROMPT},
                {"role": "user", "content": json.dumps(asked, ensure_ascii=False)},
            ],
        }
        try:
            response = self._client.post(self._url, json=body)
        except httpx2.TransportError as error:
            raise _AttemptError(f"{type(error).__name__}: {error}") from error
        except httpx2.HTTPError as error:
            raise _AttemptError(f"no readable answer: {error}") from error
        if response.status_code in _RETRIED or response.status_code >= _SERVER_ERRORS:
            raise _AttemptError(f"status {response.status_code}", _asked_wait(response.headers))
        if response.status_code != httpx2.codes.OK:
            raise EndpointError(
                f"{self._url} refused with status {response.status_code}: "
                f"{' '.join(response.text[:_SHOWN].split())}",
                remedy="check the address, the name of the model and the key",
            )
        answer = _parsed(response.text)
        usage = answer.get("usage")
        spent = usage if isinstance(usage, dict) else {}
        return Reply(
            _texts(answer, len(questions)),
            attempt,
            _count(spent.get("prompt_tokens")),
            _count(spent.get("completion_tokens")),
        )

    def _wait(self, attempt: int, asked: float | None) -> float:
        longest = self.settings.longest_wait
        if asked is not None and asked > longest:
            raise EndpointError(
                f"{self._url} asks to wait {asked:.0f} s",
                expected=f"at most {longest:.0f} s",
                remedy="run again later: answers so far are in the cache; or allow a longer wait",
            )
        return min(longest, asked if asked is not None else _FIRST_WAIT * 2.0**attempt)


def _asked_wait(headers: httpx2.Headers) -> float | None:
    """Seconds of a Retry-After header, which may be a number or a date; None without one."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    if said.isdigit():
        return float(said)
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None  # neither a number nor a date: the usual waits apply
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _parsed(body: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise _AttemptError(f"the answer is no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise _AttemptError("the answer is no JSON object")
    return answer


def _texts(answer: dict[str, Any], count: int) -> tuple[str | None, ...]:
    """The rewrites inside a chat completion, by their numbers."""
    try:
        content = answer["choices"][0]["message"]["content"]
        start, end = content.index("{"), content.rindex("}") + 1  # models like to fence their JSON
        rewrites = json.loads(content[start:end])["rewrites"]
        found = {int(each["id"]): each["text"] for each in rewrites}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _AttemptError(
            f"the answer has no list of rewrites: {type(error).__name__}"
        ) from error
    texts = (found.get(place) for place in range(count))
    return tuple(text if isinstance(text, str) else None for text in texts)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
