"""Hours of readings: how many, lowest, highest and their sum, one row an hour (UTC) and series.

Those of sealed readings are written with the chunks that they are folded from, in the same transaction, and never apart
from them. Later ones that are over are folded from rows (`db.folding`). Once readings are past their time, their hours
stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, text

from db.columns import ColumnQuery
from db.packing import Buckets, Ints
from db.schema import hours
from db.statements import in_chunks, plain_rows

_BETWEEN: Final = ColumnQuery(
    {"ts": "i8", "n": "i8", "lo": "f8", "hi": "f8", "total": "f8"},
    "hours WHERE series_id = :series_id AND ts > :after AND ts < :end",
)
_BUCKET: Final = np.dtype([("ts", "i8"), ("n", "i8"), ("lo", "f8"), ("hi", "f8"), ("total", "f8")])
#: SQLite takes at most 500 SELECTs in one UNION.
_SWEEPS_A_STATEMENT: Final = 300
_LARGEST: Final = np.finfo(np.float64).max


def between(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Hours of a series that begin in [start, end), by time."""
    return Buckets(*_BETWEEN.read(connection, after=start - 1, series_id=series_id, end=end))


def added_up(connection: Connection, series_id: int, edges: Ints, before: int) -> Iterator[Buckets]:
    """Hours that begin before `before`, added up from each edge to the next by the database itself, in several parts.

    Edges are UTC ms on whole hours; where they are evenly apart, as nearly all days are, that is one sweep.
    """
    for some in in_chunks(list(_even(edges, before)), _SWEEPS_A_STATEMENT):
        each = " UNION ALL ".join(
            [
                f"SELECT ts - (ts - {first:d}) % {width:d} AS span, CAST(SUM(n) AS SIGNED) AS n, MIN(lo) AS lo, "  # noqa: S608 - numbers alone
                f"MAX(hi) AS hi, SUM(total) AS total FROM hours WHERE series_id = {series_id:d} AND ts >= {first:d} "
                f"AND ts < {min(end, before):d} GROUP BY span"
                for first, width, end in some
            ]
        )
        yield as_buckets(plain_rows(connection, text(f"SELECT * FROM ({each}) AS every_one ORDER BY span")))  # noqa: S608


def _even(edges: Ints, before: int) -> Iterator[tuple[int, int, int]]:
    """(first edge, distance, last edge) of stretches of edges that are evenly apart."""
    distances = np.diff(edges)
    changes = [0, *(np.flatnonzero(np.diff(distances)) + 1).tolist(), len(distances)]
    for low, high in pairwise(changes):
        if edges[low] < before:
            yield int(edges[low]), int(distances[low]), int(edges[high])


def as_buckets(rows: list[tuple[Any, ...]]) -> Buckets:
    """Rows of (ts, n, lo, hi, total) as columns. A sum that a database could not hold is the largest there is."""
    found = np.array(rows, _BUCKET)
    ts, n, lo, hi, total = (np.ascontiguousarray(found[name]) for name in ("ts", "n", "lo", "hi", "total"))
    return Buckets(ts, n, lo, hi, np.clip(total, -_LARGEST, _LARGEST))


def replace(connection: Connection, series_id: int, start: int, end: int, folded: Buckets) -> None:
    """Put these hours in the place of all that begin in [start, end)."""
    remove(connection, series_id, start, end)
    columns = (folded.ts, folded.n, folded.lo, folded.hi, folded.total)
    rows = [
        {"series_id": series_id, "ts": ts, "n": n, "lo": lo, "hi": hi, "total": total}
        for ts, n, lo, hi, total in zip(*(column.tolist() for column in columns), strict=True)
    ]
    if rows:
        connection.execute(insert(hours), rows)


def remove(connection: Connection, series_id: int, start: int, end: int) -> None:
    """Take those out that begin in [start, end)."""
    connection.execute(delete(hours).where(hours.c.series_id == series_id, hours.c.ts >= start, hours.c.ts < end))


def last(connection: Connection, series_id: int, before: int) -> int | None:
    """The begin of the last one before `before`, None if there is none."""
    newest: int | None = connection.scalar(
        select(func.max(hours.c.ts)).where(hours.c.series_id == series_id, hours.c.ts < before)
    )
    return newest


def first(connection: Connection, series_id: int, since: int) -> int | None:
    """The begin of the first one from `since` on, None if there is none."""
    oldest: int | None = connection.scalar(
        select(func.min(hours.c.ts)).where(hours.c.series_id == series_id, hours.c.ts >= since)
    )
    return oldest
