"""A local endpoint that speaks the chat protocol and misbehaves on request."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

Reword = Callable[[str], str]
# Shared: loading the system's certificates takes longer than a test, and none is needed here.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def network() -> httpx2.BaseTransport:
    """The real network, without certificates."""
    return httpx2.HTTPTransport(verify=_TLS)


def polite(text: str) -> str:
    """A harmless rewrite."""
    return f"If you would: {text[0].lower()}{text[1:]}"


class Stub:
    """What the server does next, and what it has seen.

    ``plan`` holds the names of misbehaviours, one a request; when it is empty the server answers
    properly, with ``reword`` for the words.
    """

    def __init__(self, reword: Reword = polite) -> None:
        self.reword = reword
        self.plan: deque[str] = deque()
        self.always: str | None = None
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""
        self.lock = threading.Lock()

    @property
    def questions(self) -> list[str]:
        """All texts that were sent, in the order of arrival."""
        return [
            item["text"]
            for body in self.requests
            for item in json.loads(body["messages"][-1]["content"])
        ]

    def next_step(self) -> str:
        with self.lock:
            if self.always is not None:
                return self.always
            return self.plan.popleft() if self.plan else "ok"


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(stub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stub.lock:
                stub.requests.append({**body, "path": self.path})
                stub.keys.append(self.headers.get("Authorization"))
            step = stub.next_step()
            if step == "slow":
                time.sleep(1.0)
                return
            if step == "hang up":
                self.close_connection = True
                return
            status, _, wait = step.partition(" after ")
            if status.isdigit():
                self.reply(int(status), "{}", {"Retry-After": wait} if wait else {})
                return
            asked = json.loads(body["messages"][-1]["content"])
            self.reply(200, REPLIES[step](asked, stub.reword), {})

        def reply(self, status: int, text: str, headers: dict[str, str]) -> None:
            data = text.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


Asked = list[dict[str, Any]]


def completion(content: object) -> str:
    return json.dumps(
        {
            "choices": [{"message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50},
        }
    )


def rewrites(asked: Asked, reword: Reword) -> str:
    items = [{"id": item["id"], "text": reword(item["text"])} for item in asked]
    return json.dumps({"rewrites": items}, ensure_ascii=False)


REPLIES: dict[str, Callable[[Asked, Reword], str]] = {
    "ok": lambda asked, reword: completion(rewrites(asked, reword)),
    "fenced": lambda asked, reword: completion(f"Sure!\n```json\n{rewrites(asked, reword)}\n```"),
    "reversed": lambda asked, reword: completion(rewrites(asked[::-1], reword)),
    "half": lambda asked, reword: completion(rewrites(asked[::2], reword)),
    "cut off": lambda asked, reword: completion(rewrites(asked, reword)[:-9]),
    "chatter": lambda asked, reword: completion("I cannot help with that."),
    "no content": lambda asked, reword: completion(None),
    "no choices": lambda asked, reword: json.dumps({"choices": []}),
    "a list": lambda asked, reword: "[]",
    "no json": lambda asked, reword: "<html>502</html>",
    "odd ids": lambda asked, reword: completion('{"rewrites": [{"id": [], "text": 3}]}'),
    "numbers": lambda asked, reword: completion('{"rewrites": [{"id": 0, "text": 3}]}'),
}
