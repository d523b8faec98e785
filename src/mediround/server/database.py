"""Opening the database: SQLite by default, any other by its URL; migrated when opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import alembic.command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from mediround.errors import MediRoundError

FILE = "mediround.db"
_MIGRATIONS = Path(__file__).with_name("migrations")
_BUSY_SECONDS = 20


class StorageError(MediRoundError):
    """The database cannot be opened or written; nothing of the change is kept."""


def open_database(folder: Path, url: str | None = None) -> Engine:
    """The database, brought to the newest shape.

    Args:
        folder: where the SQLite file lies, created where needed.
        url: a SQLAlchemy URL of another database, such as ``postgresql+psycopg://…``.

    Raises:
        StorageError: it cannot be opened or migrated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    where = make_url(url or f"sqlite:///{folder / FILE}")
    lite = where.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}} if lite else {}
    try:
        engine = create_engine(where, pool_pre_ping=not lite, **options)
        if lite:
            event.listen(engine, "connect", _prepare)
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StorageError(
            f"the database cannot be opened ({type(error).__name__})",
            remedy="check the folder's permissions, its disk, or the URL",
        ) from error
    return engine


def _prepare(connection: Any, _record: object) -> None:
    """Readers never wait for the writer, and what was acknowledged is on the disk."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
