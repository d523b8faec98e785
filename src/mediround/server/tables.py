"""What is in the database. Changes here need a migration beside the last one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_ID = re.compile(r"[0-9a-f]{32}")


def now() -> str:
    """This moment, ISO 8601 in UTC to the microsecond; sorts as it reads."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def is_id(text: str) -> bool:
    """Whether ``text`` may name a row: databases differ in what else they take."""
    return _ID.fullmatch(text) is not None


class Table(DeclarativeBase):
    """Base of all tables."""


class ImageRow(Table):
    """An upload; its values are in a folder of its id."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    created: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    about: Mapped[dict[str, Any]] = mapped_column(JSON)


class SessionRow(Table):
    """A session: which slice of which image, and which version of its dialogue holds."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    image: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    title: Mapped[str] = mapped_column(Text)
    created: Mapped[str] = mapped_column(String(32))
    updated: Mapped[str] = mapped_column(String(32))
    place: Mapped[dict[str, Any]] = mapped_column(JSON)
    model: Mapped[str] = mapped_column(String(200))
    weights_sha256: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(Integer)
    current: Mapped[int] = mapped_column(Integer)
    newest: Mapped[int] = mapped_column(Integer)


class VersionRow(Table):
    """The dialogue after one change; its masks by their hash."""

    __tablename__ = "versions"

    session: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[str] = mapped_column(String(32))
    change: Mapped[str] = mapped_column(String(16))
    dialogue: Mapped[dict[str, Any]] = mapped_column(JSON)


class MaskRow(Table):
    """A mask of a session, as the counts of its run-length code."""

    __tablename__ = "masks"

    session: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    counts: Mapped[str] = mapped_column(Text)


class AuditRow(Table):
    """One event; ``digest`` covers it and the ``previous`` digest."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    user: Mapped[str] = mapped_column("account", String(64))
    session: Mapped[str] = mapped_column(String(32), index=True)
    event: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
