"""A mark in a database that is being restored: while it is there, nobody takes the database for whole."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Integer, MetaData, Table, inspect

#: A table of its own, so that it can be there before all others and outlast them.
_MARK: Final = Table("restoring", MetaData(), Column("id", Integer, primary_key=True))
WORDS: Final = (
    "This database is being restored, or a restore was broken off. "
    "Wait for its end, or type again: python -m db restore FILE"
)


def is_marked(connection: Connection) -> bool:
    """Whether a restore has begun and not ended."""
    return inspect(connection).has_table(_MARK.name)


def mark(connection: Connection) -> None:
    """A restore begins."""
    _MARK.create(connection, checkfirst=True)


def unmark(connection: Connection) -> None:
    """A restore has ended well."""
    _MARK.drop(connection, checkfirst=True)
