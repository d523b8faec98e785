"""What an operator decides about a server; everything has a safe default."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mediround.errors import InputError
from mediround.imaging.sandbox import DecodingLimits

LOCAL_USER = "local"
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_SHORTEST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Requests a second that one user may make, and how many at once after a pause.

    ``strangers``: requests without a valid token, from one address.
    """

    work: float = 5.0
    work_burst: int = 40
    reading: float = 60.0
    reading_burst: int = 400
    strangers: float = 1.0
    strangers_burst: int = 30


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Settings of one server process.

    Attributes:
        data: folder of uploads, sessions and spilled features.
        database: SQLAlchemy URL; None means SQLite in ``data``.
        host: address to listen on; without tokens only a loopback address is allowed.
        port: 0 picks a free one.
        tokens: SHA-256 (hex) of a token -> the user it belongs to.
        upload_bytes: largest upload.
        mask_bytes: largest body of any other request.
        uploads_at_once: child processes that decode at the same time.
        at_once: questions that are answered at the same time; answers that grow together cost
            little more than one, so it pays to have more of them than cores.
        together: images, and masks, of several questions computed as one; 0 decides by the device.
        waiting: most questions in the queue, of everybody.
        waiting_per_session: of one session.
        live_sessions: most sessions in memory.
        live_bytes: most memory of their keys and values; the longest unused go first.
        feature_bytes: memory of encoded images; what is dropped is read from disk again.
        spill_bytes: disk for encoded images.
        user_bytes: disk for the uploads of one user.
        rates: see the class.
        decoding: limits of one decoder.
    """

    data: Path
    database: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    upload_bytes: int = 2**30
    mask_bytes: int = 32 * 2**20
    uploads_at_once: int = 2
    at_once: int = 4
    together: int = 0
    waiting: int = 256
    waiting_per_session: int = 8
    live_sessions: int = 64
    live_bytes: int = 2**30
    feature_bytes: int = 256 * 2**20
    spill_bytes: int = 4 * 2**30
    user_bytes: int = 50 * 2**30
    rates: Rates = field(default_factory=Rates)
    decoding: DecodingLimits = field(default_factory=DecodingLimits)

    def __post_init__(self) -> None:
        if not self.tokens and not is_loopback(self.host):
            raise InputError(
                f"host {self.host!r} without a token",
                expected="a token for everything but loopback",
                remedy="pass --token, or --host 127.0.0.1",
            )

    def user_of(self, token: str) -> str | None:
        """Whose token this is; takes as long for a wrong one."""
        digest = digest_of(token)
        found = None
        for known, user in self.tokens.items():
            if hmac.compare_digest(known, digest):
                found = user
        return found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def digest_of(token: str) -> str:
    """SHA-256 of a token, the only form in which one is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def parse_tokens(words: Sequence[str]) -> Mapping[str, str]:
    """Tokens as people write them: ``TOKEN`` or ``USER:TOKEN``; the result of ``tokens``.

    Raises:
        InputError: a token shorter than 16 characters, a bad user name, or one token twice.
    """
    found: dict[str, str] = {}
    for word in words:
        user, colon, token = word.strip().rpartition(":")
        name = user if colon else LOCAL_USER
        if not _USER.fullmatch(name):
            raise InputError(
                f"the user {name!r} of a token", expected="1 to 64 letters, digits, . _ @ -"
            )
        if len(token) < _SHORTEST_TOKEN:
            raise InputError(
                f"a token of {len(token)} characters",
                expected=f"at least {_SHORTEST_TOKEN}",
                remedy="python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
            )
        digest = digest_of(token)
        if digest in found:
            raise InputError("one token twice", expected="a token of their own for each user")
        found[digest] = name
    return MappingProxyType(found)
