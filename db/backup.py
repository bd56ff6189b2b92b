"""A backup: every table as it was at one moment, whatever is written meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import URL, Connection, Double, Engine, Integer, LargeBinary, String, Table, func, select, text
from sqlalchemy.types import TypeEngine

from db import archive, balance, migrations
from db.engine import create, facts, reading, snapshot
from db.schema import metadata

#: Told how many rows more are done.
Progress = Callable[[int], None]

#: Rows fetched at once: of numbers alone, and of others, of which one may hold a chunk.
_ROWS: Final = 10_000
_WIDE_ROWS: Final = 100


def make(engine: Engine, file: Path, now: int, begin: Callable[[int], Progress]) -> archive.Manifest:
    """Write a backup to `file`, in the place of what may be there. `now` is UTC ms.

    `begin` is told how many rows there are, and gives what is told of each step.

    Raises:
        DatabaseAway: If the database can't be read.
        OSError: If the file can't be written; one that was there is as it was.
    """
    with archive.writing(file) as out, _still(engine, file) as connection:
        rows = {table.name: _count(connection, table) for table in metadata.sorted_tables}
        progress = begin(sum(rows.values()))
        for table in metadata.sorted_tables:
            written = out.add(table.name, _batches(connection, table, progress), _next_id(connection, table))
            if written != rows[table.name]:
                raise RuntimeError(f"{table.name} gave {written} rows in place of {rows[table.name]}")
        return out.finish(
            made_at=now,
            revision=migrations.revision(connection),
            database=facts(connection).product,
            off_by=balance.read(connection).off_by,
        )


@contextmanager
def _still(engine: Engine, file: Path) -> Iterator[Connection]:
    """The database as it is now, for as long as it takes to read it.

    Of SQLite a copy beside `file` is made first: while a transaction reads, its log can't be taken back into the
    database, and would grow by all that is written.
    """
    if engine.dialect.name != "sqlite":
        with snapshot(engine) as connection:
            yield connection
        return
    copy = file.with_name(f"{file.name}.copy")
    _remove(copy)
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with snapshot(engine) as connection, closing(sqlite3.connect(copy)) as target:
            driver: Any = connection.connection.driver_connection
            try:
                driver.backup(target)
            except sqlite3.Error as error:
                raise OSError(None, str(error), str(copy)) from error
        copied = create(URL.create("sqlite", database=str(copy)).render_as_string())
        try:
            with reading(copied) as connection:
                yield connection
        finally:
            copied.dispose()
    finally:
        _remove(copy)


def _remove(copy: Path) -> None:
    """Remove a copy, and what SQLite kept beside it, which a run that was killed may have left."""
    for ending in ("", "-wal", "-shm"):
        copy.with_name(f"{copy.name}{ending}").unlink(missing_ok=True)


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _batches(connection: Connection, table: Table, progress: Progress) -> Iterator[pa.Table]:
    schema = pa.schema([(column.name, _arrow_type(column.type)) for column in table.columns])
    numbers = all(isinstance(column.type, Integer | Double) for column in table.columns)
    query = select(table).execution_options(yield_per=_ROWS if numbers else _WIDE_ROWS)
    for rows in connection.execute(query).partitions():
        columns = list(zip(*rows, strict=True))
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)
        progress(len(rows))


def _arrow_type(type_: TypeEngine[Any]) -> pa.DataType:
    """Raises TypeError for a type that no table had when this was written."""
    match type_:
        case Integer():
            return pa.int64()
        case Double():
            return pa.float64()
        case LargeBinary():
            return pa.binary()
        case String():
            return pa.string()
    raise TypeError(f"a backup can't hold a column of type {type_!r} yet")


def _next_id(connection: Connection, table: Table) -> int | None:
    """The number of the table's next row, where a number must never come again; None where it may."""
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return None
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return (connection.scalar(query, {"table": table.name}) or 0) + 1
    largest = connection.scalar(select(func.max(*table.primary_key.columns))) or 0
    # MySQL tells from a cache that may be a day old; the answer is then too small, and never below the largest.
    query = text(
        "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :table"
    )
    return max(largest + 1, connection.scalar(query, {"table": table.name}) or 1)
