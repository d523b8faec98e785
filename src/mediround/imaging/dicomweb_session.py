"""An HTTP session for one server: no redirects, no proxies, answers up to a size."""

from __future__ import annotations

from typing import Any

import requests

from mediround.errors import ImageServerError

_CHUNK = 2**20


class BoundedSession(requests.Session):
    """A session of requests that leaves its server under no circumstances.

    Args:
        root: every address must begin with it.
        most: largest body in bytes, once decompressed.
    """

    def __init__(self, root: str, most: int) -> None:
        super().__init__()
        self._base, self._most = root, most
        # Neither proxies nor passwords from files and variables of the machine.
        self.trust_env = False

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> Any:
        """Send a request and read the whole answer.

        Raises:
            ImageServerError: another server, a redirect, or too large an answer.
            requests.RequestException: no connection, a timeout.
        """
        address = url if isinstance(url, str) else url.decode()
        verb = method if isinstance(method, str) else method.decode()
        if not address.startswith(f"{self._base}/"):
            raise ImageServerError("a request would leave the image server")
        options |= {"allow_redirects": False, "stream": True}
        response = super().request(verb, address, *args, **options)
        if response.is_redirect:
            response.close()
            raise ImageServerError(
                "the image server redirects",
                expected="an answer",
                remedy="list the address that it redirects to",
            )
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > self._most:
                response.close()
                raise ImageServerError(
                    f"the image server sends more than {self._most:,} bytes at once"
                )
        # What requests itself does when it has read an answer; it offers no other way.
        response._content, response._content_consumed = bytes(body), True
        return response
