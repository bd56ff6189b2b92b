"""Forms of INSERT that MySQL and SQLite spell differently. Nothing above db/ knows which one it talks to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Dialect, Insert, Table, TextClause, func, insert
from sqlalchemy.dialects import mysql, sqlite

from db.engine import LARGEST_PACKET, DatabaseAway

T = TypeVar("T")

_NO_LIMIT: Final = 1 << 30
#: Bytes of a statement beside its rows.
_BESIDE: Final = 1_000
#: Of rows of numbers, about 200 kB of text; and bytes of one number at most.
_ROWS_A_STATEMENT: Final = 5_000
_NUMBER_BYTES: Final = 25
#: JSON's brackets to those of VALUES.
_ROUND: Final = bytes.maketrans(b"[]", b"()")


def insert_ignore(table: Table) -> Insert:
    """INSERT that passes over rows whose key exists."""
    statement = insert(table).prefix_with("OR IGNORE", dialect="sqlite")
    return statement.prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")


def insert_one_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row, all its columns given, unless its key exists; whether it was inserted.

    For what is done with each batch: SQLAlchemy takes a quarter of a millisecond to form a statement, this nothing.
    """
    columns = table.columns.keys()
    form = _one_row(table, connection.dialect)
    return connection.exec_driver_sql(form, tuple([row[name] for name in columns])).rowcount == 1


@lru_cache(maxsize=8)
def _one_row(table: Table, dialect: Dialect) -> str:
    ignore, mark = ("OR IGNORE", "?") if dialect.name == "sqlite" else ("IGNORE", "%s")
    name, *columns = map(dialect.identifier_preparer.quote_identifier, (table.name, *table.columns.keys()))
    return f"INSERT {ignore} INTO {name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608 - our own names


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], update: Sequence[str]) -> None:
    """Insert rows, or where their primary key exists set the `update` columns. Rows go in order of their key."""
    if rows:
        key = [column.name for column in table.primary_key.columns]
        rows = sorted(rows, key=lambda row: tuple(row[name] for name in key))
        connection.execute(_upsert(connection, table, update, None), [dict(row) for row in rows])


def upsert_numbers(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[int | float, ...]],
    update: Sequence[str],
    *,
    unless_older: str,
) -> None:
    """Insert rows of numbers in the order of the table's columns, or where their key exists set the `update` columns.

    A row with less in the column `unless_older`, the last to be updated, than the one that is there changes nothing.
    """
    statement = _upsert(connection, table, update, unless_older)
    names = table.columns.keys()
    if connection.dialect.name == "sqlite":
        if rows:
            connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
        return
    # As text, like readings: the driver would format each row by itself.
    form = str(statement.compile(dialect=connection.dialect, column_keys=names))
    placeholders = f"({', '.join([f'%({name})s' for name in names])})"
    rows_a_statement = max(1, largest_statement(connection) // (_NUMBER_BYTES * len(names)))
    for chunk in in_chunks(sorted(rows), min(rows_a_statement, _ROWS_A_STATEMENT)):
        connection.exec_driver_sql(form.replace(placeholders, values_text(chunk), 1))


def values_text(rows: Sequence[tuple[int | float, ...]]) -> str:
    """Rows of ints and finite floats as VALUES takes them: `(1,2,3.5),(4,5,6.0)`.

    JSON with other brackets, which takes a quarter of the time of formatting each row. Floats are exact: as few digits
    as tell one from its neighbours.
    """
    return msgspec.json.encode(rows).translate(_ROUND)[1:-1].decode()


def _upsert(connection: Connection, table: Table, update: Sequence[str], unless_older: str | None) -> Insert:
    if connection.dialect.name == "sqlite":
        lite = sqlite.insert(table)
        newer = None if unless_older is None else lite.excluded[unless_older] >= table.c[unless_older]
        changes = {name: lite.excluded[name] for name in update}
        key = [column.name for column in table.primary_key.columns]
        return lite.on_conflict_do_update(index_elements=key, set_=changes, where=newer)
    my = mysql.insert(table)
    values: list[tuple[str, Any]] = [(name, my.inserted[name]) for name in update]
    if unless_older is not None:
        # Columns are set in order, so each compares with the `unless_older` that was there.
        newer = my.inserted[unless_older] >= table.c[unless_older]
        values = [(name, func.if_(newer, value, table.c[name])) for name, value in values]
    return my.on_duplicate_key_update(values)


def plain_rows(connection: Connection, statement: TextClause, **parameters: int) -> list[tuple[Any, ...]]:
    """Rows as the driver makes them, which takes half the time.

    Raises:
        DatabaseAway: If the database fails while it hands them over.
    """
    result = connection.execute(statement, parameters)
    try:
        return list(result.cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        raise DatabaseAway(str(error)) from error
    finally:
        result.close()


def largest_statement(connection: Connection) -> int:
    """Bytes that a statement may have here, its rows and parameters as text included."""
    return int(connection.info.get(LARGEST_PACKET, _NO_LIMIT)) - _BESIDE


def in_chunks(rows: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Slices of at most `size`, so that no statement outgrows what a server takes in one packet."""
    return (rows[at : at + size] for at in range(0, len(rows), size))
