"""What is stored of a series, wherever it lies: in chunks, in hours, in rows. Times are UTC ms.

Ask with a connection in one snapshot (`db.engine.snapshot`): sealing moves readings from rows into chunks meanwhile.
Rows from the end of the last chunk on are those that were not sealed yet; their hours that are over are folded
(`db.folding`), but for those that are named in `late`. Rows before it came late; nearly always there are none. They
count unless the chunk there has a reading of that ts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from sqlalchemy import Connection, func, select

from db import chunks, late, open_minutes
from db import hours as stored_hours
from db.chunks import Chunk, DamagedChunk, sealed_until, usual_interval
from db.folded_rows import folded, has_sums
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
    without,
)
from db.readings import Key, existing, last_points, points_between
from db.schema import chunks as chunks_table
from db.schema import readings

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "Buckets",
    "DamagedChunk",
    "Points",
    "extent",
    "fold",
    "holds",
    "hours",
    "interval",
    "last",
    "minutes",
    "raw",
    "raw_pieces",
    "refold",
    "refold_evenly",
    "spans",
    "values_at",
]

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
    parts: list[Buckets] = []
    if start < open_from:
        there = chunks.between(connection, series_id, start, end, raw=False)
        parts += _minutes_of(connection, series_id, there)
        parts.append(_folded_late(connection, series_id, start, min(end, open_from), MINUTE_MS))
    parts += _open_minutes(connection, series_id, max(start, open_from), end)
    return _cut(parts, start, end, MINUTE_MS)


def hours(connection: Connection, series_id: int, start: int, end: int) -> Buckets:
    """Hours (UTC) that hold readings, in [start, end), both on a whole hour.

    They reach back further than readings do, where RETENTION_RAW_DAYS is set. Raises DamagedChunk.
    """
    open_from = sealed_until(connection, series_id)
    stored = stored_hours.between(connection, series_id, start, end)
    border = -(-open_from // HOUR_MS) * HOUR_MS
    sealed = int(np.searchsorted(stored.ts, border))
    parts = [part(stored, slice(0, sealed))]
    if start < open_from:
        parts.append(_folded_late(connection, series_id, start, min(end, open_from), HOUR_MS))
        if open_from < min(end, border):
            parts.append(folded(connection, series_id, open_from, min(end, border), HOUR_MS))
    parts += _open_hours(connection, series_id, max(start, border), end, part(stored, slice(sealed, None)))
    return _cut(parts, start, end, HOUR_MS)


def spans(connection: Connection, series_id: int, edges: Ints) -> Buckets:
    """Buckets from each edge to the next that hold readings: the days of a zone. Edges ascend, on whole hours (UTC).

    The same as `refold(hours(...), edges)`, and for years in a tenth of the time: hours are added up where they are.
    Raises DamagedChunk.
    """
    if len(edges) < 2:
        return no_buckets()
    start, end = int(edges[0]), int(edges[-1])
    open_from = sealed_until(connection, series_id)
    border = -(-open_from // HOUR_MS) * HOUR_MS
    last_hour = stored_hours.last(connection, series_id, end)
    known_to = min(end, max(border, 0 if last_hour is None else last_hour + HOUR_MS))
    if late.between(connection, series_id, max(start, border), known_to):
        return refold(hours(connection, series_id, start, end), edges)
    parts = list(stored_hours.added_up(connection, series_id, edges, known_to)) if start < known_to else []
    if start < open_from:
        parts.append(_folded_late(connection, series_id, start, min(end, open_from), HOUR_MS))
    for first, after in ((open_from, border), (known_to, end)):
        if max(start, first) < min(end, after):
            parts.append(folded(connection, series_id, max(start, first), min(end, after), HOUR_MS))
    if not all(has_sums(one) for one in parts):
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


def holds(connection: Connection, series_id: int, start: int, end: int) -> bool:
    """Whether anything is stored of a series in [start, end): a row, or a part of a chunk."""
    if chunks.between(connection, series_id, start, end, raw=False):
        return True
    inside = readings.c.series_id == series_id, readings.c.ts >= start, readings.c.ts < end
    return connection.scalar(select(readings.c.ts).where(*inside).limit(1)) is not None


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


def _folded_late(connection: Connection, series_id: int, start: int, end: int, width_ms: int) -> Buckets:
    points = _late(connection, series_id, start, end)
    return fold(points.ts, points.value, width_ms)


def _open_hours(connection: Connection, series_id: int, start: int, end: int, stored: Buckets) -> Iterator[Buckets]:
    """Hours from the last chunk's end on: those that are stored, but for those named, and the rest from rows."""
    if start >= end:
        return
    known_to = int(stored.ts[-1]) + HOUR_MS if len(stored) else start
    named = late.between(connection, series_id, start, known_to)
    for first, after in named:
        stored = without(stored, first, after)
    yield stored
    for first, after in [*named, (known_to, end)]:
        if first < after:
            yield folded(connection, series_id, first, after, HOUR_MS)


def _open_minutes(connection: Connection, series_id: int, start: int, end: int) -> Iterator[Buckets]:
    """Minutes from the last chunk's end on: those of hours that have them stored and are not named, the rest from rows.

    Rows of an hour without a reading, and of slow series, cost next to nothing.
    """
    if start >= end:
        return
    first_hour = start // HOUR_MS * HOUR_MS
    stored = open_minutes.between(connection, series_id, first_hour, end)
    if stored:
        for first, after in late.between(connection, series_id, first_hour, max(stored) + HOUR_MS):
            for hour in range(first, after, HOUR_MS):
                stored.pop(hour, None)
    yield from stored.values()
    from_rows = [(hour + HOUR_MS, after) for hour, after in pairwise([*stored, end])]
    for first, after in [(start, min(stored, default=end)), *from_rows]:
        if first < min(after, end):
            yield folded(connection, series_id, first, min(after, end), MINUTE_MS)


def _cut(parts: list[Buckets], start: int, end: int, width_ms: int) -> Buckets:
    """All of them that begin in [start, end), those of the same begin as one."""
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
