"""Minutes of hours that are over and not sealed yet, an hour of a series in a row. Times are UTC ms.

They are written with their hour, and only where an hour holds so many readings that they are worth their bytes.
"""

from __future__ import annotations

import zlib

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from db.chunks import WORTH
from db.packing import HOUR_MS, Buckets, Damaged, pack_buckets, part, unpack_buckets
from db.schema import minutes


def between(connection: Connection, series_id: int, start: int, end: int) -> dict[int, Buckets]:
    """Minutes of hours that begin in [start, end), by their begin. Those that were changed are left out."""
    query = select(minutes.c.ts, minutes.c.packed, minutes.c.crc).where(
        minutes.c.series_id == series_id, minutes.c.ts >= start, minutes.c.ts < end
    )
    found: dict[int, Buckets] = {}
    for ts, packed, crc in connection.execute(query.order_by(minutes.c.ts)):
        if zlib.crc32(packed) == crc:
            try:
                found[ts] = unpack_buckets(bytes(packed))
            except Damaged:  # its rows are there
                continue
    return found


def replace(connection: Connection, series_id: int, start: int, end: int, folded: Buckets) -> None:
    """Put these minutes in the place of those of all hours that begin in [start, end), both on a whole hour."""
    remove(connection, series_id, start, end)
    hour = folded.ts // HOUR_MS
    rows = []
    for of in np.split(np.arange(len(folded)), np.flatnonzero(np.diff(hour)) + 1):
        one = part(folded, of)
        if len(one) and int(one.n.sum()) >= WORTH * len(one):
            packed = pack_buckets(one)
            ts = int(one.ts[0]) // HOUR_MS * HOUR_MS
            rows.append({"series_id": series_id, "ts": ts, "packed": packed, "crc": zlib.crc32(packed)})
    if rows:
        connection.execute(insert(minutes), rows)


def remove(connection: Connection, series_id: int, start: int, end: int) -> None:
    """Take those out of hours that begin in [start, end)."""
    connection.execute(
        delete(minutes).where(minutes.c.series_id == series_id, minutes.c.ts >= start, minutes.c.ts < end)
    )
