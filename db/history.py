"""What is stored of a series, wherever it lies: in chunks, in hours, in rows. Times are UTC ms.

Ask with a connection in one snapshot (`db.engine.snapshot`): sealing moves readings from rows into chunks meanwhile.
Rows from the end of the last chunk on are those that were not sealed yet. Rows before it came late; nearly always there
are none. They count unless the chunk there has a reading of that ts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from sqlalchemy import Connection, func, select, text

from db import chunks
from db import hours as sealed_hours
from db.chunks import Chunk, DamagedChunk, sealed_until, usual_interval
from db.packing import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Buckets,
    Ints,
    Points,
    fold,
    joined_buckets,
    joined_points,
    no_buckets,
    no_points,
    overlaid,
    part,
    refold,
    refold_evenly,
)
from db.readings import Key, existing, last_points, points_between
from db.schema import chunks as chunks_table
from db.schema import readings
from db.statements import plain_rows

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "Buckets",
    "DamagedChunk",
    "Points",
    "extent",
    "fold",
    "hours",
    "interval",
    "last",
    "minutes",
    "raw",
    "raw_pieces",
    "refold",
    "spans",
    "values_at",
]

_FOLDED: Final = text(
    "SELECT ts - ts % :width AS bucket, COUNT(*), MIN(value), MAX(value), SUM(value) FROM readings "
    "WHERE series_id = :series_id AND ts >= :start AND ts < :end GROUP BY bucket ORDER BY bucket"
)
#: Readings in a piece.
_PIECE: Final = 100_000
#: Readings whose distances tell the usual one.
_HABIT: Final = 101


def raw(connection: Connection, series_id: int, start: int, end: int) -> Points:
    """Single readings of a series in [start, end).

    Raises:
        DamagedChunk: If bytes that are needed for it were changed.
    """
    open_from = sealed_until(connection, series_id)
    if start >= open_from:
        return points_between(connection, series_id, start, end)
    there = chunks.between(connection, series_id, start, end)
    sealed = _inside(joined_points([chunk.points() for chunk in there if not chunk.gone]), start, end)
    late = _late(connection, series_id, start, min(end, open_from), there)
    rows = points_between(connection, series_id, open_from, end) if end > open_from else no_points()
    return joined_points([overlaid(sealed, late), rows])


def minutes(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Minutes that hold readings, in [start, end), both on a whole minute. Raises DamagedChunk."""
    open_from = sealed_until(connection, series_id)
    if start >= open_from:
        return _folded_rows(connection, series_id, start, end, MINUTE_MS)
    there = chunks.between(connection, series_id, start, end, raw=False)
    parts = _minutes_of(connection, series_id, there)
    return _together(connection, series_id, start, end, open_from, parts, MINUTE_MS)


def hours(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Hours (UTC) that hold readings, in [start, end), both on a whole hour.

    They reach back further than readings do, where RETENTION_RAW_DAYS is set. Raises DamagedChunk.
    """
    open_from = sealed_until(connection, series_id)
    if start >= open_from:
        return _folded_rows(connection, series_id, start, end, HOUR_MS)
    parts = [sealed_hours.between(connection, series_id, start, min(end, -(-open_from // HOUR_MS) * HOUR_MS))]
    return _together(connection, series_id, start, end, open_from, parts, HOUR_MS)


def spans(connection: Connection, series_id: int, edges: Ints) -> Buckets:
    """Buckets from each edge to the next that hold readings: the days of a zone. Edges ascend, on whole hours (UTC).

    The same as `refold(hours(...), edges)`, and for years in a tenth of the time: hours are added up where they are.
    Raises DamagedChunk.
    """
    if len(edges) < 2:
        return no_buckets()
    start, end = int(edges[0]), int(edges[-1])
    open_from = sealed_until(connection, series_id)
    sealed_to = min(end, -(-open_from // HOUR_MS) * HOUR_MS)
    parts = list(sealed_hours.added_up(connection, series_id, edges, sealed_to)) if start < sealed_to else []
    late = _late(connection, series_id, start, min(end, open_from)) if start < open_from else no_points()
    parts.append(fold(late.ts, late.value, HOUR_MS))
    if end > open_from:
        parts.append(_folded_rows(connection, series_id, max(start, open_from), end, HOUR_MS))
    if not all(_has_sums(one) for one in parts):
        return refold(hours(connection, series_id, start, end), edges)
    return refold(_in_order(joined_buckets(parts)), edges)


def extent(connection: Connection, series_id: int) -> tuple[int, int] | None:
    """First and last ts of a series, None if it has no reading. Hours may be all that is left of the first."""
    rows = select(func.min(readings.c.ts), func.max(readings.c.ts)).where(readings.c.series_id == series_id)
    first, last_ = connection.execute(rows).one()
    known = (chunks_table.c.series_id == series_id,)
    oldest = connection.scalar(select(chunks_table.c.first).where(*known).order_by(chunks_table.c.start).limit(1))
    newest = connection.scalar(select(chunks_table.c.last).where(*known).order_by(chunks_table.c.start.desc()).limit(1))
    ends = [ts for ts in (first, last_, oldest, newest) if ts is not None]
    return (min(ends), max(ends)) if ends else None


def raw_pieces(connection: Connection, series_id: int, start: int, end: int) -> Iterator[Points]:
    """The same as `raw`, in pieces of at most some 100,000, none empty. Other questions may be asked in between."""
    open_from = min(sealed_until(connection, series_id), end)
    while start < open_from:
        until = _piece_until(connection, series_id, start, open_from)
        piece = raw(connection, series_id, start, until)
        for at in range(0, len(piece), _PIECE):
            yield Points(piece.ts[at : at + _PIECE], piece.value[at : at + _PIECE])
        start = until
    while start < end:
        piece = points_between(connection, series_id, start, end, _PIECE)
        if not len(piece):
            return
        yield piece
        start = int(piece.ts[-1]) + 1


def last(connection: Connection, series_id: int, limit: int) -> Points:
    """The newest `limit` readings of a series, oldest first. Raises DamagedChunk."""
    rows = last_points(connection, series_id, limit)
    open_from = sealed_until(connection, series_id)
    found = Points(rows.ts[rows.ts >= open_from], rows.value[rows.ts >= open_from])
    until = open_from
    while len(found) < limit and until > 0:
        chunk = chunks.before(connection, series_id, until - 1)
        if chunk is None:
            return joined_points([raw(connection, series_id, 0, until), found])
        found = joined_points([raw(connection, series_id, chunk.start, until), found])
        until = chunk.start
    return Points(found.ts[-limit:], found.value[-limit:])


def values_at(connection: Connection, keys: Iterable[Key]) -> dict[Key, float]:
    """Values that are stored under these (series, ts), sealed or not. Raises DamagedChunk."""
    wanted = set(keys)
    found = existing(connection, wanted)
    by_series: dict[int, list[int]] = {}
    for series_id, ts in wanted:
        by_series.setdefault(series_id, []).append(ts)
    for series_id, times in by_series.items():
        found.update({(series_id, ts): value for ts, value in _sealed_values(connection, series_id, times)})
    return found


def _sealed_values(connection: Connection, series_id: int, times: list[int]) -> Iterator[tuple[int, float]]:
    open_from = sealed_until(connection, series_id)
    left = np.sort(np.array([ts for ts in times if ts < open_from], np.int64))
    while len(left):
        chunk = chunks.before(connection, series_id, int(left[-1]))
        if chunk is None:
            return
        if not chunk.gone:
            points = chunk.points()
            there = np.isin(points.ts, left)
            yield from zip(points.ts[there].tolist(), points.value[there].tolist(), strict=True)
        left = left[left < chunk.start]


def interval(connection: Connection, series_id: int, before: int | None = None) -> int | None:
    """The usual distance between readings of a series in ms: the median of its last hundred; None for fewer than two.

    `before` (UTC ms): the usual one then, which for sealed days stands in their chunk.
    """
    if before is None or before > sealed_until(connection, series_id):
        return usual_interval(last(connection, series_id, _HABIT).ts)
    chunk = chunks.before(connection, series_id, before - 1)
    return None if chunk is None else chunk.interval_ms


def _inside(points: Points, start: int, end: int) -> Points:
    first, after = np.searchsorted(points.ts, (start, end))
    return Points(points.ts[first:after], points.value[first:after])


def _late(connection: Connection, series_id: int, start: int, end: int, there: list[Chunk] | None = None) -> Points:
    """Rows in [start, end) that count although chunks lie there. `there`: these chunks, if they are known already."""
    rows = points_between(connection, series_id, start, end)
    if not len(rows):
        return rows
    if there is None:
        around = chunks.between(connection, series_id, int(rows.ts[0]), int(rows.ts[-1]) + 1, raw=False)
        there = chunks.at(connection, series_id, [one.start for one in around if _holds(one, rows)])
    counts = np.ones(len(rows), bool)
    for chunk in there:
        first, after = np.searchsorted(rows.ts, (chunk.start, chunk.until))
        if first < after:
            counts[first:after] = False if chunk.gone else ~np.isin(rows.ts[first:after], chunk.points().ts)
    return Points(rows.ts[counts], rows.value[counts])


def _holds(chunk: Chunk, rows: Points) -> bool:
    first, after = np.searchsorted(rows.ts, (chunk.start, chunk.until))
    return bool(first < after)


def _minutes_of(connection: Connection, series_id: int, there: list[Chunk]) -> list[Buckets]:
    """The minutes of each chunk; of those that have none, or damaged ones, folded from their readings."""
    found: dict[int, Buckets] = {}
    for chunk in there:
        if chunk.minutes is not None:
            try:
                found[chunk.start] = chunk.folded()
            except DamagedChunk:  # its readings may be well
                continue
    for chunk in chunks.at(connection, series_id, [c.start for c in there if c.start not in found and not c.gone]):
        points = chunk.points()
        found[chunk.start] = fold(points.ts, points.value, MINUTE_MS)
    return [found[start] for start in sorted(found)]


def _together(
    connection: Connection,
    series_id: int,
    start: int,
    end: int,
    open_from: int,
    sealed: list[Buckets],
    width_ms: int,
) -> Buckets:
    """Buckets of what is sealed, with those of late rows added, and those of rows that were not sealed yet."""
    late = _late(connection, series_id, start, min(end, open_from))
    parts = [*sealed, fold(late.ts, late.value, width_ms)]
    if end > open_from:
        parts.append(_folded_rows(connection, series_id, max(start, open_from), end, width_ms))
    every = _in_order(joined_buckets(parts))
    first, after = np.searchsorted(every.ts, (start, end))
    return refold_evenly(part(every, slice(first, after)), width_ms)


def _in_order(buckets: Buckets) -> Buckets:
    return part(buckets, np.argsort(buckets.ts, kind="stable"))


def _piece_until(connection: Connection, series_id: int, start: int, end: int) -> int:
    """Up to where chunks and late rows from `start` on are one piece."""
    known = chunks_table.c
    query = (
        select(known.until, known.n)
        .where(known.series_id == series_id, known.until > start, known.start < end)
        .order_by(known.start)
        .limit(1000)
    )
    count, until = 0, end
    for number, (chunk_until, n) in enumerate(connection.execute(query).all()):
        if number and count + n > _PIECE:
            break
        count, until = count + n, min(end, chunk_until)
    return int(until)


def _folded_rows(connection: Connection, series_id: int, start: int, end: int, width_ms: int) -> Buckets:
    """Buckets of rows, folded where the rows are: a server sends a bucket in a tenth of the time of its readings."""
    parameters = {"series_id": series_id, "start": start, "end": end, "width": width_ms}
    found = sealed_hours.as_buckets(plain_rows(connection, _FOLDED, **parameters))
    if _has_sums(found):
        return found
    points = points_between(connection, series_id, start, end)
    return fold(points.ts, points.value, width_ms)


def _has_sums(buckets: Buckets) -> bool:
    """Whether a database can add up what lies in them. MariaDB takes a sum beyond all floats for 0."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.maximum(np.abs(buckets.lo), np.abs(buckets.hi)) * buckets.n).all())
