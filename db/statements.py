"""Forms of INSERT that MySQL and SQLite spell differently. Nothing above db/ knows which one it talks to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Insert, Table, func, insert
from sqlalchemy.dialects import mysql, sqlite

from db.engine import LARGEST_PACKET

T = TypeVar("T")

_NO_LIMIT: Final = 1 << 30
#: Bytes of a statement beside its rows.
_BESIDE: Final = 1_000


def insert_ignore(table: Table) -> Insert:
    """INSERT that passes over rows whose key exists."""
    statement = insert(table).prefix_with("OR IGNORE", dialect="sqlite")
    return statement.prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    update: Sequence[str],
    *,
    unless_older: str | None = None,
) -> None:
    """Insert rows, or where their primary key exists set the `update` columns. Rows go in order of their key.

    `unless_older`: a row with less in this column, the last to be updated, than the one that is there changes nothing.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key.columns]
    rows = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    statement: Insert
    if connection.dialect.name == "sqlite":
        lite = sqlite.insert(table)
        newer = None if unless_older is None else lite.excluded[unless_older] >= table.c[unless_older]
        changes = {name: lite.excluded[name] for name in update}
        statement = lite.on_conflict_do_update(index_elements=key, set_=changes, where=newer)
    else:
        my = mysql.insert(table)
        values: list[tuple[str, Any]] = [(name, my.inserted[name]) for name in update]
        if unless_older is not None:
            # Columns are set in order, so each compares with the `unless_older` that was there.
            newer = my.inserted[unless_older] >= table.c[unless_older]
            values = [(name, func.if_(newer, value, table.c[name])) for name, value in values]
        statement = my.on_duplicate_key_update(values)
    connection.execute(statement, [dict(row) for row in rows])


def largest_statement(connection: Connection) -> int:
    """Bytes that a statement may have here, its rows and parameters as text included."""
    return int(connection.info.get(LARGEST_PACKET, _NO_LIMIT)) - _BESIDE


def in_chunks(rows: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Slices of at most `size`, so that no statement outgrows what a server takes in one packet."""
    return (rows[at : at + size] for at in range(0, len(rows), size))
