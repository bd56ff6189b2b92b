"""A restore: makes a database what a backup says, on the same kind of database or on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Connection, Engine, column, func, insert, inspect, select, table, text

from db import archive, balance, migrations, unfinished, workers
from db.archive import BadArchive, Content, Manifest, Part
from db.engine import reading, writing
from db.schema import metadata
from db.statements import in_chunks, largest_statement, values_text

#: Told how many rows more are done.
Progress = Callable[[int], None]

#: A worker whose heartbeat is younger is at work.
_ALIVE_MS: Final = 10_000
#: Rows of numbers in one INSERT, and bytes of a number as text at most.
_ROWS_A_STATEMENT: Final = 5_000
_NUMBER_BYTES: Final = 25
#: Other rows bound at once.
_ROWS_AT_ONCE: Final = 500


class RestoreRefused(Exception):
    """The database is not one to restore into. Nothing was changed. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it. `off_by`: readings held less those that the account counts."""

    manifest: Manifest
    off_by: int


def check(source: archive.Reader, progress: Progress) -> None:
    """Read the whole backup and compare it with its sums, before anything is changed. Raises BadArchive."""
    if not migrations.is_known(source.manifest.revision):
        raise BadArchive(
            f"This backup is of a newer version (tables of revision {source.manifest.revision}). Update first."
        )
    for content in source.manifest.tables.values():
        for part in content.parts:
            source.read(part)
            progress(part.rows)


def restore(engine: Engine, source: archive.Reader, progress: Progress, *, replace: bool) -> Restored:
    """Make the database what the backup says. One that was broken off is begun again from the first row.

    `replace`: even if the database holds readings, which are gone then.

    Raises:
        RestoreRefused: If the database holds readings, or a worker is at work on it.
        BadArchive: If the backup is damaged, or does not give what it promises.
        DatabaseAway: If the database goes away; the restore is to be begun again.
    """
    manifest = source.manifest
    _refuse_unless_free(engine, replace=replace)
    _clear(engine)
    migrations.apply_up_to(engine, manifest.revision)
    with reading(engine) as connection:
        known = set(inspect(connection).get_table_names())
    if unknown := sorted(manifest.tables.keys() - known):
        raise BadArchive(f"This backup has a table that its version does not know: {unknown[0]}.")
    for name in reversed(manifest.tables):  # of what the migrations put there
        with writing(engine) as connection:
            connection.execute(table(name).delete())
    for name, content in manifest.tables.items():
        for part in content.parts:
            _fill(engine, name, source, part)
            progress(part.rows)
        _finish(engine, name, content)
    migrations.apply_up_to(engine, "head")
    with writing(engine) as connection:
        off_by = balance.read(connection).off_by
        unfinished.unmark(connection)
    return Restored(manifest, off_by)


def _refuse_unless_free(engine: Engine, *, replace: bool) -> None:
    with reading(engine) as connection:
        if unfinished.is_marked(connection):
            return
        there = set(inspect(connection).get_table_names())
        at_work = [] if "workers" not in there else workers.every(connection)
        if names := [one.heartbeat.name for one in at_work if not one.stopped and one.age_ms < _ALIVE_MS]:
            raise RestoreRefused(
                f"The worker {names[0]} is at work on this database. Stop the server and all workers first."
            )
        if replace:
            return
        for name in ("readings", "chunks"):
            if name in there and connection.execute(select(text("1")).select_from(table(name)).limit(1)).first():
                raise RestoreRefused(
                    "This database holds readings, which a restore replaces. Restore into an empty one, "
                    "or say --replace to throw away what is there."
                )


def _clear(engine: Engine) -> None:
    """Leave no table of ours; others' are not touched."""
    with writing(engine) as connection:
        unfinished.mark(connection)
    with writing(engine) as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _fill(engine: Engine, name: str, source: archive.Reader, part: Part) -> None:
    rows = source.read(part)
    with writing(engine) as connection:
        if all(pa.types.is_int64(field.type) or pa.types.is_float64(field.type) for field in rows.schema):
            _insert_numbers(connection, name, rows)
        else:
            into = insert(table(name, *(column(field.name) for field in rows.schema)))
            for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
                connection.execute(into, rows.slice(start, _ROWS_AT_ONCE).to_pylist())


def _insert_numbers(connection: Connection, name: str, rows: Any) -> None:
    quote = connection.dialect.identifier_preparer.quote
    into = f"INSERT INTO {quote(name)} ({', '.join([quote(one) for one in rows.schema.names])}) VALUES "  # noqa: S608 - quoted names
    values = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    if connection.dialect.name == "sqlite":  # bound: it parses some floats inexactly
        connection.exec_driver_sql(f"{into}({', '.join('?' * rows.num_columns)})", values)
        return
    fit = largest_statement(connection) // (_NUMBER_BYTES * rows.num_columns)
    for chunk in in_chunks(values, max(1, min(_ROWS_A_STATEMENT, fit))):
        connection.exec_driver_sql(into + values_text(chunk))


def _finish(engine: Engine, name: str, content: Content) -> None:
    """See that all rows are there, and that no number is given twice."""
    with writing(engine) as connection:
        held = connection.scalar(select(func.count()).select_from(table(name))) or 0
        if held != content.rows:
            raise BadArchive(f"The backup promises {content.rows} rows of {name}, and gave {held}.")
        if content.next_id is None:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(text(f"ALTER TABLE {name} AUTO_INCREMENT = {content.next_id:d}"))
            return
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
        statement = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)")
        connection.execute(statement, {"name": name, "seq": content.next_id - 1})
