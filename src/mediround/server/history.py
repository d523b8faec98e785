"""Sessions on disk: every version of every dialogue, so that undo outlives the process.

A version is a dialogue as JSON in which each mask stands as the hash of its code; a mask is
stored once, however many versions hold it. What a method returns has been committed.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as Transaction

from mediround.dialogue import Dialogue
from mediround.errors import MediRoundError
from mediround.server import audit
from mediround.server.database import StorageError
from mediround.server.mask_store import with_masks, without_masks
from mediround.server.tables import MaskRow, SessionRow, VersionRow, is_id, now

T = TypeVar("T")


class NotFoundError(MediRoundError):
    """There is no such thing, or it is somebody else's."""


class ConflictError(MediRoundError):
    """Possible in itself, but not as things stand."""


@dataclass(frozen=True)
class Stored:
    """A session as it is on disk.

    Attributes:
        place: which slice, and what is shown of it; see ``uploads.place``.
        revision: grows with each change, undo and redo included.
    """

    id: str
    owner: str
    image: str
    title: str
    created: str
    updated: str
    place: Mapping[str, Any]
    model: str
    weights_sha256: str
    revision: int
    can_undo: bool
    can_redo: bool
    dialogue: Dialogue


@dataclass(frozen=True)
class Listed:
    """A line in the list of sessions."""

    id: str
    title: str
    created: str
    updated: str
    image: str
    place: Mapping[str, Any]
    rounds: int
    entities: int


class History:
    """All sessions of a database; one writer at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = threading.RLock()

    def create(
        self,
        owner: str,
        image: str,
        title: str,
        place: Mapping[str, Any],
        model: tuple[str, str],
        dialogue: Dialogue,
    ) -> Stored:
        """A new session; ``model`` is its name and the hash of its weights."""
        at = now()
        row = SessionRow(
            id=secrets.token_hex(16),
            owner=owner,
            image=image,
            title=title,
            created=at,
            updated=at,
            place=dict(place),
            model=model[0],
            weights_sha256=model[1],
            revision=0,
            current=0,
            newest=0,
        )

        def work(transaction: Transaction) -> Stored:
            transaction.add(row)
            transaction.flush()
            self._add_version(transaction, row, dialogue, "open")
            detail = {"model": model[0], "weights_sha256": model[1], "image": place["sha256"]}
            audit.record(transaction, owner, row.id, "open", detail)
            return self._stored(transaction, row)

        return self._write(work)

    def get(self, session: str, owner: str) -> Stored:
        """One session.

        Raises:
            NotFoundError: there is none, or it is somebody else's.
        """
        with Transaction(self._engine) as transaction:
            return self._stored(transaction, self._row(transaction, session, owner))

    def list(self, owner: str) -> list[Listed]:
        """All of ``owner``, the last used first."""
        query = (
            select(SessionRow, VersionRow)
            .join(
                VersionRow,
                (VersionRow.session == SessionRow.id) & (VersionRow.number == SessionRow.current),
            )
            .where(SessionRow.owner == owner)
            .order_by(SessionRow.updated.desc())
        )
        with Transaction(self._engine) as transaction:
            return [_listed(*found) for found in transaction.execute(query)]

    def commit(
        self, session: str, owner: str, dialogue: Dialogue, change: str, detail: Mapping[str, Any]
    ) -> Stored:
        """A new version; what had been undone is gone.

        Raises:
            NotFoundError: no such session.
            StorageError: nothing was written.
        """

        def work(transaction: Transaction) -> Stored:
            row = self._row(transaction, session, owner)
            beyond = (VersionRow.session == session) & (VersionRow.number > row.current)
            transaction.execute(delete(VersionRow).where(beyond))
            row.current += 1
            row.newest = row.current
            row.model = detail.get("model", row.model)
            row.weights_sha256 = detail.get("weights_sha256", row.weights_sha256)
            self._add_version(transaction, row, dialogue, change)
            return self._changed(transaction, row, change, detail)

        return self._write(work)

    def step(self, session: str, owner: str, by: int) -> Stored:
        """Undo (-1) or redo (+1).

        Raises:
            ConflictError: there is nothing to undo or redo.
        """

        def work(transaction: Transaction) -> Stored:
            row = self._row(transaction, session, owner)
            if not 0 <= row.current + by <= row.newest:
                raise ConflictError(f"there is nothing to {'undo' if by < 0 else 'redo'}")
            row.current += by
            return self._changed(transaction, row, "undo" if by < 0 else "redo", {})

        return self._write(work)

    def rename(self, session: str, owner: str, title: str) -> Stored:
        """Another title; no version of the dialogue."""

        def work(transaction: Transaction) -> Stored:
            row = self._row(transaction, session, owner)
            row.title = title
            row.updated = now()
            return self._stored(transaction, row)

        return self._write(work)

    def delete(self, session: str, owner: str) -> None:
        """Remove a session with all its versions and masks; the audit trail keeps its events."""

        def work(transaction: Transaction) -> None:
            row = self._row(transaction, session, owner)
            for table in (VersionRow, MaskRow):
                transaction.execute(delete(table).where(table.session == session))
            transaction.delete(row)
            audit.record(transaction, owner, session, "delete", {})

        self._write(work)

    def versions(self, session: str, owner: str) -> tuple[Sequence[tuple[int, str, str]], int]:
        """(number, time, change) of all versions, and the number of the current one."""
        query = select(VersionRow).where(VersionRow.session == session).order_by(VersionRow.number)
        with Transaction(self._engine) as transaction:
            row = self._row(transaction, session, owner)
            return [(v.number, v.at, v.change) for v in transaction.scalars(query)], row.current

    def count(self, image: str) -> int:
        """How many sessions use an image."""
        query = select(func.count()).where(SessionRow.image == image)
        with Transaction(self._engine) as transaction:
            return transaction.scalar(query) or 0

    def _write(self, work: Callable[[Transaction], T]) -> T:
        try:
            with self._writing, Transaction(self._engine) as transaction, transaction.begin():
                return work(transaction)
        except SQLAlchemyError as error:
            raise StorageError(
                f"the change could not be stored ({type(error).__name__})",
                remedy="check the disk's free space, then try again",
            ) from error

    @staticmethod
    def _row(transaction: Transaction, session: str, owner: str) -> SessionRow:
        row = transaction.get(SessionRow, session) if is_id(session) else None
        if row is None or row.owner != owner:
            raise NotFoundError("there is no such session")
        return row

    def _changed(
        self, transaction: Transaction, row: SessionRow, change: str, detail: Mapping[str, Any]
    ) -> Stored:
        row.revision += 1
        row.updated = now()
        audit.record(transaction, row.owner, row.id, change, {**detail, "version": row.current})
        return self._stored(transaction, row)

    @staticmethod
    def _add_version(
        transaction: Transaction, row: SessionRow, dialogue: Dialogue, change: str
    ) -> None:
        shape, masks = without_masks(dialogue)
        query = select(MaskRow.sha256).where(MaskRow.session == row.id)
        known = set(transaction.scalars(query))
        for digest, counts in masks.items():
            if digest not in known:
                transaction.add(MaskRow(session=row.id, sha256=digest, counts=counts))
        transaction.add(
            VersionRow(session=row.id, number=row.current, at=now(), change=change, dialogue=shape)
        )
        transaction.flush()

    @staticmethod
    def _stored(transaction: Transaction, row: SessionRow) -> Stored:
        version = transaction.get(VersionRow, (row.id, row.current))
        assert version is not None
        masks = transaction.scalars(select(MaskRow).where(MaskRow.session == row.id))
        dialogue = with_masks(version.dialogue, {each.sha256: each.counts for each in masks})
        return Stored(
            id=row.id,
            owner=row.owner,
            image=row.image,
            title=row.title,
            created=row.created,
            updated=row.updated,
            place=row.place,
            model=row.model,
            weights_sha256=row.weights_sha256,
            revision=row.revision,
            can_undo=row.current > 0,
            can_redo=row.current < row.newest,
            dialogue=dialogue,
        )


def _listed(row: SessionRow, version: VersionRow) -> Listed:
    rounds, given = version.dialogue["rounds"], version.dialogue["given"]
    everyone = [*given, *(entity for each in rounds for entity in each["entities"])]
    return Listed(
        id=row.id,
        title=row.title,
        created=row.created,
        updated=row.updated,
        image=row.image,
        place=row.place,
        rounds=len(rounds),
        entities=sum(entity["mask"] is not None for entity in everyone),
    )
