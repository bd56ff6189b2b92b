"""Days (UTC) of a series, for charts of many years: from the sums that stand beside each chunk.

Ten years are 3,650 of these instead of 87,600 hours. Ask with a connection in one snapshot (`db.engine.snapshot`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from sqlalchemy import Connection, select

from db import history
from db.chunks import sealed_until
from db.columns import ColumnQuery
from db.packing import DAY_MS, HOUR_MS, Buckets, fold, joined_buckets, refold_evenly
from db.schema import readings

#: By their ends: those of a series do not overlap.
_SUMS: Final = ColumnQuery(
    {"until": "i8", "start": "i8", "n": "i8", "lo": "f8", "hi": "f8", "total": "f8"},
    "chunks WHERE series_id = :series_id AND start < :end AND until > :after",
)


def days(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Days that hold readings, in [start, end), both on a whole day. Raises DamagedChunk."""
    sealed = min(sealed_until(connection, series_id), end)
    if sealed <= start or sealed % HOUR_MS or _has_late(connection, series_id, start, sealed):
        return _from_hours(connection, series_id, start, end)
    parts = list(_sealed(connection, series_id, start, sealed))
    if sealed < end:
        parts.append(_from_hours(connection, series_id, sealed, end))
    every = joined_buckets(parts)
    order = np.argsort(every.ts, kind="stable")
    ordered = Buckets(every.ts[order], every.n[order], every.lo[order], every.hi[order], every.total[order])
    return refold_evenly(ordered, DAY_MS)


def _from_hours(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """The same from hours, which the database adds up itself. `end` is on a whole day."""
    edges = np.arange(start // DAY_MS * DAY_MS, end + 1, DAY_MS, dtype=np.int64)
    edges[0] = start
    return history.spans(connection, series_id, edges)


def _has_late(connection: Connection, series_id: int, start: int, end: int) -> bool:
    query = select(readings.c.ts).where(readings.c.series_id == series_id, readings.c.ts >= start, readings.c.ts < end)
    return connection.scalar(query.limit(1)) is not None


def _sealed(connection: Connection, series_id: int, start: int, end: int) -> Iterator[Buckets]:
    """Of a chunk within one day its sums; of longer ones, which slow series have, their readings."""
    until, start_, n, lo, hi, total = _SUMS.read(connection, after=start, series_id=series_id, end=end)
    day = start_ // DAY_MS
    short = day == (until - 1) // DAY_MS
    yield Buckets(day[short] * DAY_MS, n[short], lo[short], hi[short], total[short])
    longer = np.flatnonzero(~short)
    breaks = np.flatnonzero(start_[longer[1:]] != until[longer[:-1]]) + 1
    for stretch in np.split(longer, breaks):
        if len(stretch):
            first, last = max(int(start_[stretch[0]]), start), min(int(until[stretch[-1]]), end)
            points = history.raw(connection, series_id, first, last)
            inside = stretch[(start_[stretch] >= first) & (until[stretch] <= last)]
            if len(points) >= int(n[inside].sum()) and len(points):
                yield fold(points.ts, points.value, DAY_MS)
            else:  # retention has left the hours alone
                yield history.hours(connection, series_id, first // HOUR_MS * HOUR_MS, -(-last // HOUR_MS) * HOUR_MS)
