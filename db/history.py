"""What is stored of a series, wherever it lies. Times are UTC ms.

Ask with a connection in one snapshot (`db.engine.snapshot`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, func, select

from db.packing import DAY_MS, HOUR_MS, MINUTE_MS, Buckets, Points, fold, no_buckets, refold
from db.schema import readings

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "Buckets",
    "Points",
    "extent",
    "fold",
    "hours",
    "minutes",
    "raw",
    "raw_pieces",
    "refold",
]

#: Readings in a piece.
_PIECE: Final = 100_000
_LARGEST: Final = float(np.finfo(np.float64).max)


def raw(connection: Connection, series_id: int, start: int, end: int) -> Points:
    """Single readings of a series in [start, end)."""
    query = _between(select(readings.c.ts, readings.c.value), series_id, start, end).order_by(readings.c.ts)
    return _points(connection.execute(query).all())


def minutes(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Minutes that hold readings, in [start, end), both on a whole minute."""
    return _folded_rows(connection, series_id, start, end, MINUTE_MS)


def hours(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Hours (UTC) that hold readings, in [start, end), both on a whole hour."""
    return _folded_rows(connection, series_id, start, end, HOUR_MS)


def extent(connection: Connection, series_id: int) -> tuple[int, int] | None:
    """First and last ts of a series, None if it has no reading."""
    query = select(func.min(readings.c.ts), func.max(readings.c.ts)).where(readings.c.series_id == series_id)
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def raw_pieces(connection: Connection, series_id: int, start: int, end: int) -> Iterator[Points]:
    """The same as `raw`, in pieces of at most some 100,000, none empty. Other questions may be asked in between."""
    while start < end:
        query = _between(select(readings.c.ts, readings.c.value), series_id, start, end)
        rows = connection.execute(query.order_by(readings.c.ts).limit(_PIECE)).all()
        if not rows:
            return
        yield _points(rows)
        start = rows[-1][0] + 1


def _between(query: Any, series_id: int, start: int, end: int) -> Any:
    return query.where(readings.c.series_id == series_id, readings.c.ts >= start, readings.c.ts < end)


def _points(rows: Sequence[Any]) -> Points:
    count = len(rows)
    return Points(
        np.fromiter((row[0] for row in rows), np.int64, count), np.fromiter((row[1] for row in rows), np.float64, count)
    )


def _folded_rows(connection: Connection, series_id: int, start: int, end: int, width_ms: int) -> Buckets:
    """Buckets of rows, folded where the rows are: a server sends a bucket in a tenth of the time of its readings."""
    value = readings.c.value
    bucket = (readings.c.ts - readings.c.ts % width_ms).label("bucket")
    query = _between(
        select(bucket, func.count(), func.min(value), func.max(value), func.sum(value)), series_id, start, end
    )
    rows = connection.execute(query.group_by("bucket").order_by("bucket")).all()
    if not rows:
        return no_buckets()
    ts, n, lo, hi, total = zip(*rows, strict=True)
    return Buckets(
        np.array(ts, np.int64),
        np.array(n, np.int64),
        np.array(lo, np.float64),
        np.array(hi, np.float64),
        np.clip(np.array(total, np.float64), -_LARGEST, _LARGEST),
    )
