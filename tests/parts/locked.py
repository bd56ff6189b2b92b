"""A database in which, for a while, nobody else may write readings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import text

from db import engine

#: How long we wait for a writer to end. Not the worker's own patience, which a test may have made short.
_PATIENCE_S = 20.0


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Hold the lock inside the `with`; whoever writes waits for it, or runs into its own time-out."""
    file = engine.file_of(database_url)
    with _locked_server(database_url) if file is None else _locked_file(file):
        yield


@contextmanager
def _locked_file(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, _PATIENCE_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _locked_server(database_url: str) -> Iterator[None]:
    other = engine.create(database_url)
    try:
        with other.connect() as connection:
            connection.execute(text("LOCK TABLES readings WRITE"))
            yield
    finally:
        other.dispose()  # which closes the connection, and that unlocks, also after a test that failed
