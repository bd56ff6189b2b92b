"""A database in which, for a while, nobody else may write readings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from db import engine


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Hold the lock inside the `with`; whoever writes waits for it, or runs into its own time-out."""
    other = engine.create(database_url)
    if "sqlite" in database_url:
        with engine.writing(other):
            yield
    else:
        with other.connect() as connection:
            connection.execute(text("LOCK TABLES readings WRITE"))
            yield
            connection.execute(text("UNLOCK TABLES"))
    other.dispose()
