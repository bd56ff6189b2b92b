"""Sealed readings: a stretch of a series as one row, with its sums, its minutes and its readings as bytes.

A chunk holds all readings of its series from `start` to before `until`, both UTC ms, on whole hours or, where an hour
holds more than a chunk may, on whole minutes. No two chunks of a series overlap. Rows of `readings` in that stretch
came later, and where both have a ts, the chunk's value counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Select, and_, delete, func, insert, select

from db.packing import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Buckets,
    Damaged,
    Ints,
    Points,
    fold,
    pack,
    pack_buckets,
    unpack,
    unpack_buckets,
)
from db.schema import chunks
from db.terminal import clock

#: Readings in a chunk.
MOST: Final = 100_000
#: A chunk with fewer grows into the next days, until it spans a month.
SLOW: Final = 4_000
MONTH_MS: Final = 31 * DAY_MS
#: Readings a minute from which on its minutes are worth their bytes.
WORTH: Final = 4
#: Distances of readings from which the usual one is taken.
_HABIT: Final = 100


class DamagedChunk(Exception):
    """Bytes of a chunk are not what was stored. The text names the chunk."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A row of `chunks`. Times are UTC ms. `raw` None: it was not asked for, or is gone."""

    series_id: int
    start: int
    until: int
    first: int
    last: int
    last_value: float
    n: int
    lo: float
    hi: float
    total: float
    interval_ms: int | None
    minutes: bytes | None
    minutes_crc: int | None
    raw: bytes | None
    raw_crc: int | None

    @property
    def gone(self) -> bool:
        """Whether its readings were past their time and only its sums are left."""
        return self.raw_crc is None

    def points(self) -> Points:
        """Its readings. Raises DamagedChunk, also where they are gone."""
        if self.raw is None:
            raise DamagedChunk(f"{self}: its readings are not there")
        if zlib.crc32(self.raw) != self.raw_crc:
            raise DamagedChunk(f"{self}: the bytes of its readings were changed")
        try:
            return unpack(self.raw)
        except Damaged as error:
            raise DamagedChunk(f"{self}: {error}") from error

    def folded(self) -> Buckets:
        """Its minutes. Raises DamagedChunk, also where it has none."""
        if self.minutes is None:
            raise DamagedChunk(f"{self}: it has no minutes")
        if zlib.crc32(self.minutes) != self.minutes_crc:
            raise DamagedChunk(f"{self}: the bytes of its minutes were changed")
        try:
            return unpack_buckets(self.minutes)
        except Damaged as error:
            raise DamagedChunk(f"{self}: {error}") from error

    def __str__(self) -> str:
        return f"the chunk of series {self.series_id} from {clock(self.start)} to {clock(self.until)}"


def make(series_id: int, start: int, until: int, points: Points) -> Chunk:
    """A chunk of these readings, of which there is at least one; all lie between `start` and `until`."""
    minutes = fold(points.ts, points.value, MINUTE_MS)
    packed = pack_buckets(minutes) if len(points) >= WORTH * len(minutes) else None
    raw = pack(points)
    return Chunk(
        series_id,
        start,
        until,
        *sums(points),
        usual_interval(points.ts),
        packed,
        None if packed is None else zlib.crc32(packed),
        raw,
        zlib.crc32(raw),
    )


def sums(points: Points) -> tuple[int, int, float, int, float, float, float]:
    """First and last ts, last value, how many, lowest, highest, and their sum, of at least one reading."""
    whole = fold(np.zeros(len(points), np.int64), points.value, 1)
    ends = int(points.ts[0]), int(points.ts[-1]), float(points.value[-1])
    return *ends, len(points), float(whole.lo[0]), float(whole.hi[0]), float(whole.total[0])


def usual_interval(ts: Ints) -> int | None:
    """The median of the last hundred distances between readings, in ms; None for fewer than two."""
    return round(float(np.median(np.diff(ts[-_HABIT - 1 :])))) if len(ts) > 1 else None


def split(points: Points, start: int, until: int, most: int = MOST) -> Iterator[tuple[int, int, Points]]:
    """(start, until, readings) of stretches of at most `most` readings, none of them empty.

    They are cut on whole hours; an hour that alone holds more, on whole minutes, each of which stays one.
    """
    for from_, to, part in _cut(points, start, until, most, HOUR_MS):
        yield from _cut(part, from_, to, most, MINUTE_MS)


def _cut(points: Points, start: int, until: int, most: int, width_ms: int) -> Iterator[tuple[int, int, Points]]:
    if not len(points):
        return
    cuts = [0, *_cuts(points.ts, most, width_ms), len(points)]
    for number, (low, high) in enumerate(pairwise(cuts)):
        from_ = start if number == 0 else int(points.ts[low]) // width_ms * width_ms
        to = until if high == len(points) else int(points.ts[high]) // width_ms * width_ms
        yield from_, to, Points(points.ts[low:high], points.value[low:high])


def _cuts(ts: Ints, most: int, width_ms: int) -> Iterator[int]:
    """Where to cut, so that each part holds at most `most`, or is one bucket of `width_ms`."""
    begin = last = 0
    for edge in [*(np.flatnonzero(np.diff(ts // width_ms)) + 1).tolist(), len(ts)]:
        if edge - begin > most and last > begin:
            yield last
            begin = last
        last = edge


def store(connection: Connection, made: Sequence[Chunk]) -> None:
    """Insert chunks, a statement each: one may fill what a server takes."""
    names = chunks.columns.keys()
    for chunk in made:
        connection.execute(insert(chunks), {name: getattr(chunk, name) for name in names})


def remove(connection: Connection, chunk: Chunk) -> bool:
    """Delete a chunk; False if it is gone, or not what it was."""
    same = and_(
        chunks.c.series_id == chunk.series_id,
        chunks.c.start == chunk.start,
        chunks.c.until == chunk.until,
        chunks.c.n == chunk.n,
        chunks.c.raw_crc.is_not_distinct_from(chunk.raw_crc),
    )
    return connection.execute(delete(chunks).where(same)).rowcount == 1


def between(connection: Connection, series_id: int, start: int, end: int, *, raw: bool = True) -> list[Chunk]:
    """Chunks with a part in [start, end), by time. `raw` False: their `raw` is left out, which is most of them."""
    query = _columns(raw=raw).where(chunks.c.series_id == series_id, chunks.c.start < end, chunks.c.until > start)
    first = select(func.max(chunks.c.start)).where(chunks.c.series_id == series_id, chunks.c.start <= start)
    begin = connection.scalar(first)
    if begin is not None:  # else all chunks before are looked at
        query = query.where(chunks.c.start >= begin)
    return [_chunk(row) for row in connection.execute(query.order_by(chunks.c.start))]


def at(connection: Connection, series_id: int, starts: Sequence[int]) -> list[Chunk]:
    """The chunks that begin at these times, by time."""
    query = _columns(raw=True).where(chunks.c.series_id == series_id, chunks.c.start.in_(starts))
    return [_chunk(row) for row in connection.execute(query.order_by(chunks.c.start))]


def before(connection: Connection, series_id: int, ts: int) -> Chunk | None:
    """The last chunk that begins at `ts` or before."""
    query = _columns(raw=True).where(chunks.c.series_id == series_id, chunks.c.start <= ts)
    row = connection.execute(query.order_by(chunks.c.start.desc()).limit(1)).one_or_none()
    return None if row is None else _chunk(row)


def neighbours(connection: Connection, chunk: Chunk) -> list[Chunk]:
    """The chunk, and those that share an hour with it, with one of these, and so on."""
    there = [chunk]
    while True:
        start, until = there[0].start // HOUR_MS * HOUR_MS, -(-there[-1].until // HOUR_MS) * HOUR_MS
        found = between(connection, chunk.series_id, start, until)
        if not found or len(found) == len(there):
            return found
        there = found


def next_start(connection: Connection, series_id: int, ts: int) -> int | None:
    """Where the first chunk after `ts` begins."""
    query = select(func.min(chunks.c.start)).where(chunks.c.series_id == series_id, chunks.c.start > ts)
    start: int | None = connection.scalar(query)
    return start


def end_before(connection: Connection, series_id: int, start: int) -> int:
    """Where the last chunk that begins before `start` ends, UTC ms; 0 if there is none."""
    query = select(chunks.c.until).where(chunks.c.series_id == series_id, chunks.c.start < start)
    return connection.scalar(query.order_by(chunks.c.start.desc()).limit(1)) or 0


def sealed_until(connection: Connection, series_id: int) -> int:
    """Where the last chunk of a series ends, UTC ms; 0 if it has none."""
    query = select(chunks.c.until).where(chunks.c.series_id == series_id).order_by(chunks.c.start.desc()).limit(1)
    return connection.scalar(query) or 0


def count(connection: Connection) -> int:
    """Readings in all chunks, without those whose bytes are gone."""
    return int(connection.scalar(select(func.sum(chunks.c.n)).where(chunks.c.raw_crc.is_not(None))) or 0)


def _columns(*, raw: bool) -> Select[Any]:
    return select(*(column for column in chunks.c if raw or column.name != "raw"))


def _chunk(row: Any) -> Chunk:
    values = dict(row._mapping)
    for name in ("minutes", "raw"):
        packed = values.get(name)
        values[name] = None if packed is None else bytes(packed)
    return Chunk(**values)
