"""The audit trail: one row an event, each holding the hash of the one before.

Changing, removing or inserting a row breaks the chain from there on. No file name, no tag of an
image and no title is in it; the words of a question are, since they are what was asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session as Transaction

from mediround.errors import MediRoundError
from mediround.server.tables import AuditRow, now

START = "0" * 64


class AuditError(MediRoundError):
    """The audit trail has been changed."""


def record(
    transaction: Transaction, user: str, session: str, event: str, detail: Mapping[str, Any]
) -> None:
    """Add an event inside ``transaction``; the caller lets nobody else write meanwhile."""
    last = transaction.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).first()
    row = AuditRow(
        id=1 if last is None else last.id + 1,
        at=now(),
        user=user,
        session=session,
        event=event,
        detail=dict(detail),
        previous=START if last is None else last.digest,
    )
    row.digest = _digest(row)
    transaction.add(row)
    transaction.flush()


def verify(engine: Engine) -> int:
    """Follow the chain from its start; the number of events.

    Raises:
        AuditError: an event was changed, removed or inserted.
    """
    previous, count = START, 0
    with Transaction(engine) as transaction:
        for row in transaction.scalars(select(AuditRow).order_by(AuditRow.id)):
            count += 1
            if row.id != count or row.previous != previous or row.digest != _digest(row):
                raise AuditError(
                    f"event {count} of the audit trail does not follow from those before",
                    expected="an unbroken chain",
                    remedy="compare with a backup",
                )
            previous = row.digest
    return count


def _digest(row: AuditRow) -> str:
    content = [row.id, row.at, row.user, row.session, row.event, row.detail, row.previous]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
