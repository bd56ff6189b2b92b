"""Rows of `readings` folded where they are: a server sends a bucket in a tenth of the time of its readings."""

from __future__ import annotations

from typing import Final

import numpy as np
from sqlalchemy import Connection, text

from db.hours import as_buckets
from db.packing import Buckets, fold
from db.readings import points_between
from db.statements import plain_rows

_FOLDED: Final = (
    "SELECT ts - ts % :width AS bucket, COUNT(*), MIN(value), MAX(value), SUM(value) FROM readings "
    "WHERE series_id = :series_id AND ts >= :start AND ts < :end GROUP BY bucket ORDER BY bucket"
)
_SEEN: Final = text(_FOLDED)
_COMMITTED: Final = text(f"{_FOLDED} LOCK IN SHARE MODE")


def folded(
    connection: Connection, series_id: int, start: int, end: int, width_ms: int, *, waits: bool = False
) -> Buckets:
    """Buckets of the rows of a series in [start, end) (UTC ms), counted from 1970.

    `waits`: for transactions that have inserted some of them and are not committed yet. On SQLite there is none beside
    a transaction that writes.
    """
    statement = _COMMITTED if waits and connection.dialect.name != "sqlite" else _SEEN
    found = as_buckets(plain_rows(connection, statement, series_id=series_id, start=start, end=end, width=width_ms))
    if has_sums(found):
        return found
    points = points_between(connection, series_id, start, end)
    return fold(points.ts, points.value, width_ms)


def has_sums(buckets: Buckets) -> bool:
    """Whether a database can add up what lies in them. MariaDB takes a sum beyond all floats for 0."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.maximum(np.abs(buckets.lo), np.abs(buckets.hi)) * buckets.n).all())
