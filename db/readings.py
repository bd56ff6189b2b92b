"""Readings as rows: (series, ts) -> value. How a batch is written, and how a range is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from sqlalchemy import Connection, and_, func, select, text

from db import late
from db.columns import ColumnQuery
from db.packing import Points
from db.schema import chunks, devices, latest, readings, series
from db.statements import in_chunks, largest_statement, plain_rows, upsert_numbers, values_text
from db.working_connection import meanwhile

#: Rows in one INSERT, about 400 kB of text, where the server takes that much.
_ROWS_A_STATEMENT = 10_000
#: Bytes of a row as text at most: two numbers of 20 digits, a float of 24, punctuation.
_ROW_BYTES = 70
#: SQLite takes at most 500 SELECTs in one UNION.
_KEYS_A_STATEMENT = 400
#: A range of the key for each.
_SERIES_A_STATEMENT = 500
_BETWEEN = ColumnQuery(
    {"ts": "i8", "value": "f8"}, "readings WHERE series_id = :series_id AND ts > :after AND ts < :end"
)
_NEWEST = text("SELECT ts, value FROM readings WHERE series_id = :series_id ORDER BY ts DESC LIMIT :limit")
_POINT = np.dtype([("ts", "i8"), ("value", "f8")])

Key = tuple[int, int]
Row = tuple[int, int, float]
#: Series, ts, value, received_at; times are UTC ms.
LatestRow = tuple[int, int, float, int]


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one device measured at one time. Values are finite float64 by metric.

    `ts` is UTC ms by the device's clock; where it is None, the time is ours: receipt minus `age` ms. `seq` and `boot`
    as the device sent them, None where it did not.
    """

    device: str
    values: tuple[tuple[str, float], ...]
    ts: int | None
    age: int
    seq: int | None
    boot: str | None


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The newest reading of a series. Times are UTC ms."""

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int


def insert_new(
    connection: Connection, rows: Sequence[Row], work: Callable[[], None] | None = None, into: str = "readings"
) -> int:
    """Insert rows whose key is free, pass over the others. Returns how many were inserted.

    `work` is done while a server works at them. `into` is `readings`, or a table of that form. Readings whose hour was
    over are named for it (`db.late`).

    On MySQL the rows go as text, which is faster than parameters and safe for ints and finite floats; SQLite parses
    some floats inexactly, so there they are bound.
    """
    if connection.dialect.name == "sqlite":
        statement = f"INSERT OR IGNORE INTO {into} (series_id, ts, value) VALUES (?, ?, ?)"  # noqa: S608 - our own name
        inserted = connection.exec_driver_sql(statement, list(rows)).rowcount if rows else 0
        _name_late(connection, rows, into)
        return inserted
    inserted = 0
    rows_a_statement = max(1, min(_ROWS_A_STATEMENT, largest_statement(connection) // _ROW_BYTES))
    for chunk in in_chunks(sorted(rows), rows_a_statement):
        statement = f"INSERT IGNORE INTO {into} (series_id, ts, value) VALUES {values_text(chunk)}"  # noqa: S608 - numbers alone
        with meanwhile(connection, work):
            inserted += connection.exec_driver_sql(statement).rowcount
    _name_late(connection, rows, into)
    return inserted


def _name_late(connection: Connection, rows: Sequence[Row], into: str) -> None:
    if into == readings.name:
        late.name(connection, rows, time.time_ns() // 1_000_000)


def existing(connection: Connection, keys: Iterable[Key]) -> dict[Key, float]:
    """Values that are stored under these keys."""
    found: dict[Key, float] = {}
    for chunk in in_chunks(sorted(set(keys)), _KEYS_A_STATEMENT):
        wanted = " UNION ALL ".join([f"SELECT {series_id:d} AS s, {ts:d} AS t" for series_id, ts in chunk])
        query = (
            f"SELECT r.series_id, r.ts, r.value FROM ({wanted}) AS k "  # noqa: S608 - numbers alone
            "JOIN readings AS r ON r.series_id = k.s AND r.ts = k.t"
        )
        found.update(((row[0], row[1]), row[2]) for row in connection.exec_driver_sql(query))
    return found


def count(connection: Connection) -> int:
    """All rows."""
    return connection.scalar(select(func.count()).select_from(readings)) or 0


def count_before(connection: Connection, end: int, series_ids: Sequence[int]) -> int:
    """Rows of these series before `end` (UTC ms)."""
    total = 0
    for some in in_chunks(series_ids, 500):
        query = select(func.count()).where(readings.c.series_id.in_(some), readings.c.ts < end)
        total += connection.scalar(query) or 0
    return total


def existing_between(connection: Connection, series_id: int, first: int, last: int) -> dict[Key, float]:
    """Values of one series from `first` to `last` (UTC ms, both included)."""
    query = select(readings.c.ts, readings.c.value).where(
        readings.c.series_id == series_id, readings.c.ts >= first, readings.c.ts <= last
    )
    return {(series_id, row.ts): row.value for row in connection.execute(query)}


def points_between(connection: Connection, series_id: int, start: int, end: int, limit: int | None = None) -> Points:
    """Rows of one series in [start, end) (UTC ms), oldest first, at most `limit`."""
    ts, value = _BETWEEN.read(connection, after=start - 1, limit=limit, series_id=series_id, end=end)
    return Points(ts, value)


def _as_points(rows: list[tuple[Any, ...]]) -> Points:
    found = np.array(rows, _POINT)
    return Points(np.ascontiguousarray(found["ts"]), np.ascontiguousarray(found["value"]))


def last_points(connection: Connection, series_id: int, limit: int) -> Points:
    """The newest rows of one series, oldest first."""
    return _as_points(plain_rows(connection, _NEWEST, series_id=series_id, limit=limit)[::-1])


def frame(connection: Connection, series_id: int, start: int, end: int, limit: int) -> pd.DataFrame:
    """Raw readings of one series in [start, end) (UTC ms), oldest first, the newest `limit` of them.

    Columns: `time` datetime64[ms, UTC], `value` float64.
    """
    query = (
        select(readings.c.ts, readings.c.value)
        .where(readings.c.series_id == series_id, readings.c.ts >= start, readings.c.ts < end)
        .order_by(readings.c.ts.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()[::-1]
    times = pd.to_datetime(pd.Series([row.ts for row in rows], dtype="int64"), unit="ms", utc=True)
    return pd.DataFrame(
        {
            "time": times.astype("datetime64[ms, UTC]"),
            "value": pd.Series([row.value for row in rows], dtype="float64"),
        }
    )


def newest(connection: Connection) -> list[LatestReading]:
    """The newest reading of every series, read from rows and chunks themselves, which a crash can't leave behind.

    Two seeks a series. `received_at` comes from `latest` where that row is of the same reading, else it is the `ts`.
    """
    last_ts = (
        select(readings.c.ts)
        .where(readings.c.series_id == series.c.id)
        .order_by(readings.c.ts.desc())
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    last_start = (
        select(chunks.c.start)
        .where(chunks.c.series_id == series.c.id)
        .order_by(chunks.c.start.desc())
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    row = (readings, and_(readings.c.series_id == series.c.id, readings.c.ts == last_ts), "ts", "value")
    sealed = (chunks, and_(chunks.c.series_id == series.c.id, chunks.c.start == last_start), "last", "last_value")
    found: dict[int, LatestReading] = {}
    for table, on, ts, value in (row, sealed):
        at = table.c[ts]
        columns = (series.c.id, devices.c.name, series.c.metric, series.c.unit, at, table.c[value])
        query = (
            select(*columns, latest.c.received_at)
            .select_from(series)
            .join(devices, devices.c.id == series.c.device_id)
            .join(table, on)
            .join(latest, and_(latest.c.series_id == series.c.id, latest.c.ts == at), isouter=True)
        )
        for series_id, device, metric, unit, when, what, received_at in connection.execute(query):
            if series_id not in found or when >= found[series_id].ts:
                found[series_id] = LatestReading(device, metric, unit, when, what, received_at or when)
    return list(found.values())


def since(connection: Connection, series_ids: Sequence[int], start: int, limit: int) -> list[Row]:
    """Rows of these series from `start` (UTC ms) on, by series and time, at most `limit`.

    In the order of the key, so that a server with a hundred times as many reads no more than that, and sorts nothing.
    """
    found: list[Row] = []
    for some in in_chunks(sorted(series_ids), _SERIES_A_STATEMENT):
        query = (
            select(readings.c.series_id, readings.c.ts, readings.c.value)
            .where(readings.c.series_id.in_(some), readings.c.ts >= start)
            .order_by(readings.c.series_id, readings.c.ts)
            .limit(limit - len(found))
        )
        found += [(row[0], row[1], row[2]) for row in connection.execute(query)]
        if len(found) >= limit:
            break
    return found


def store_latest(connection: Connection, rows: Sequence[LatestRow]) -> None:
    """Write rows of `latest`, none over one with a later ts.

    Where several workers share a series, one may come with an older reading than another has written.
    """
    upsert_numbers(connection, latest, rows, ("value", "received_at", "ts"), unless_older="ts")


def changed_latest(connection: Connection, received_from: int) -> list[LatestReading]:
    """Rows of `latest` received at `received_from` (UTC ms) or later, oldest first."""
    query = (
        select(
            devices.c.name.label("device"),
            series.c.metric,
            series.c.unit,
            latest.c.ts,
            latest.c.value,
            latest.c.received_at,
        )
        .select_from(latest)
        .join(series, series.c.id == latest.c.series_id)
        .join(devices, devices.c.id == series.c.device_id)
        .where(latest.c.received_at >= received_from)
        .order_by(latest.c.received_at)
    )
    return [LatestReading(*row) for row in connection.execute(query)]
