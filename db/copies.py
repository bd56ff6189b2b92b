"""A copy of readings, sealed or not, as a plain table for SQL tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, Double, Integer, MetaData, Table, inspect, text

from db import history
from db.engine import Engine, snapshot, writing
from db.readings import insert_new

#: MySQL takes 64 characters, of which the name of a copy under way has some more.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_UNFINISHED: Final = "_unfinished"


def make_table(connection: Connection, name: str) -> None:
    """Make the table that is to have this name once it is full, of the form of `readings`.

    What another copy of that name left, which was broken off, is thrown away.

    Raises:
        ValueError: If it is no name for a table, or there is one of that name.
    """
    if not _NAME.fullmatch(name) or name.endswith(_UNFINISHED):
        raise ValueError(
            f"{name!r} is no name for a table; allowed are letters, digits and _, first a letter, at most 50, and not "
            f"{_UNFINISHED} at the end"
        )
    if inspect(connection).has_table(name):
        raise ValueError(f"there is a table {name} already")
    connection.execute(text(f"DROP TABLE IF EXISTS {name}{_UNFINISHED}"))
    key = {"primary_key": True, "autoincrement": False}
    table = Table(
        f"{name}{_UNFINISHED}",
        MetaData(),
        Column("series_id", Integer, **key),  # type: ignore[arg-type]
        Column("ts", BigInteger, **key),  # type: ignore[arg-type]
        Column("value", Double, nullable=False),
        sqlite_with_rowid=False,
        mysql_engine="InnoDB",
    )
    table.create(connection)


def fill(engine: Engine, name: str, series_ids: Sequence[int], start: int, end: int) -> Iterator[int]:
    """Copy readings in [start, end) (UTC ms) into that table, as they are at one moment; how many, each time.

    It gets its name once all are in it.

    Raises:
        DatabaseAway: If the database fails.
        DamagedChunk: If bytes were changed.
    """
    with snapshot(engine) as source:
        for series_id in series_ids:
            for piece in history.raw_pieces(source, series_id, start, end):
                rows = list(zip(repeat(series_id), piece.ts.tolist(), piece.value.tolist(), strict=False))
                with writing(engine) as connection:
                    copied = insert_new(connection, rows, into=f"{name}{_UNFINISHED}")
                yield copied
    with writing(engine) as connection:
        connection.execute(text(f"ALTER TABLE {name}{_UNFINISHED} RENAME TO {name}"))
