"""Alembic migrations, applied at start by whoever comes first while the others wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from db import unfinished
from db.engine import DatabaseAway, translated_errors

_LOCK: Final = "smart_monitor_migrations"
#: A migration of a large table takes its time; whoever waits for it does nothing else.
_LOCK_WAITS: Final = 120
_NEWER: Final = (
    "The tables are of a newer version than this program. Start that version again, or put a backup of this one in "
    "their place: docs/deploy.md, The way back"
)
#: One wait, in seconds: shorter than the silence after which a statement is given up.
_LOCK_WAIT_S: Final = 5
#: Alembic's `context`, which env.py reads, is one for the process: two threads with a database each would share it.
_ALEMBIC: Final = threading.Lock()


def apply(engine: Engine) -> None:
    """Bring the database to the newest version, under a lock; harmless where it is there already.

    Raises:
        DatabaseAway: If the database can't be reached, another process holds the lock for ten minutes, a restore is
            under way or was left half done, or its tables are of a newer version.
    """
    with translated_errors(), engine.connect() as connection, _locked(connection):
        if unfinished.is_marked(connection):
            raise DatabaseAway(unfinished.WORDS)
        if (present := revision(connection)) and not is_known(present):
            raise DatabaseAway(f"{_NEWER} (they are at {present})")
        _upgrade(connection, "head")


def apply_up_to(engine: Engine, revision: str) -> None:
    """Bring a database to this version, as one that is being restored needs it. Raises DatabaseAway."""
    with translated_errors(), engine.connect() as connection, _locked(connection):
        _upgrade(connection, revision)


def revision(connection: Connection) -> str:
    """The version that the database is at, empty where it has no tables."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def is_known(revision: str) -> bool:
    """Whether this is the newest version or one before it, so that tables at it can be brought to the newest."""
    script = ScriptDirectory(str(Path(__file__).parent))
    return any(known.revision == revision for known in script.walk_revisions())


def _config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    settings.attributes["connection"] = connection
    return settings


def _upgrade(connection: Connection, revision: str) -> None:
    with _ALEMBIC:
        command.upgrade(_config(connection), revision)


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    """SQLite: one write transaction around it all. MySQL, where DDL commits by itself: a named lock of the session."""
    if connection.dialect.name == "sqlite":
        with connection.execution_options(sqlite_begin="IMMEDIATE").begin():
            yield
        return
    query = text("SELECT GET_LOCK(:name, :wait)")
    if not any(connection.scalar(query, {"name": _LOCK, "wait": _LOCK_WAIT_S}) for _ in range(_LOCK_WAITS)):
        raise DatabaseAway("Another process has been changing the tables for ten minutes.")
    connection.commit()
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})
        connection.commit()
