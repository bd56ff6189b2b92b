"""Readings as rows: (series, ts) -> value. How a batch is written, and how a range is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pandas as pd
from sqlalchemy import Connection, and_, func, select

from db.engine import meanwhile
from db.schema import devices, latest, readings, series
from db.statements import in_chunks, largest_statement, upsert_numbers, values_text

#: Rows in one INSERT, about 400 kB of text, where the server takes that much.
_ROWS_A_STATEMENT = 10_000
#: Bytes of a row as text at most: two numbers of 20 digits, a float of 24, punctuation.
_ROW_BYTES = 70
#: SQLite takes at most 500 SELECTs in one UNION.
_KEYS_A_STATEMENT = 400
#: Of these as well; together they are 50 kB of text.
_SOURCES_A_STATEMENT = 300

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


def insert_new(connection: Connection, rows: Sequence[Row], work: Callable[[], None] | None = None) -> int:
    """Insert rows whose key is free, pass over the others. Returns how many were inserted.

    `work` is done while a server works at them.

    On MySQL the rows go as text, which is faster than parameters and safe for ints and finite floats; SQLite parses
    some floats inexactly, so there they are bound.
    """
    if connection.dialect.name == "sqlite":
        statement = "INSERT OR IGNORE INTO readings (series_id, ts, value) VALUES (?, ?, ?)"
        return connection.exec_driver_sql(statement, list(rows)).rowcount if rows else 0
    inserted = 0
    rows_a_statement = max(1, min(_ROWS_A_STATEMENT, largest_statement(connection) // _ROW_BYTES))
    for chunk in in_chunks(sorted(rows), rows_a_statement):
        statement = f"INSERT IGNORE INTO readings (series_id, ts, value) VALUES {values_text(chunk)}"  # noqa: S608 - numbers alone
        with meanwhile(connection, work):
            inserted += connection.exec_driver_sql(statement).rowcount
    return inserted


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


def values(connection: Connection, series_id: int) -> Iterator[float]:
    """All values of one series, read a few at a time. Read them to the end before anything else."""
    query = select(readings.c.value).where(readings.c.series_id == series_id)
    yield from connection.execute(query, execution_options={"yield_per": 10_000}).scalars()


def last_times(connection: Connection, series_id: int, limit: int) -> list[int]:
    """UTC ms of the newest readings of one series, newest first."""
    query = select(readings.c.ts).where(readings.c.series_id == series_id).order_by(readings.c.ts.desc()).limit(limit)
    return list(connection.scalars(query))


def existing_between(connection: Connection, series_id: int, first: int, last: int) -> dict[Key, float]:
    """Values of one series from `first` to `last` (UTC ms, both included)."""
    query = select(readings.c.ts, readings.c.value).where(
        readings.c.series_id == series_id, readings.c.ts >= first, readings.c.ts <= last
    )
    return {(series_id, row.ts): row.value for row in connection.execute(query)}


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
    """The newest reading of every series, read from `readings` itself, which a crash can't leave behind.

    One seek a series. `received_at` comes from `latest` where that row is of the same reading, else it is the `ts`.
    """
    last_ts = (
        select(readings.c.ts)
        .where(readings.c.series_id == series.c.id)
        .order_by(readings.c.ts.desc())
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    query = (
        select(
            devices.c.name.label("device"),
            series.c.metric,
            series.c.unit,
            readings.c.ts,
            readings.c.value,
            latest.c.received_at,
        )
        .select_from(series)
        .join(devices, devices.c.id == series.c.device_id)
        .join(readings, and_(readings.c.series_id == series.c.id, readings.c.ts == last_ts))
        .join(latest, and_(latest.c.series_id == series.c.id, latest.c.ts == readings.c.ts), isouter=True)
    )
    return [
        LatestReading(row.device, row.metric, row.unit, row.ts, row.value, row.received_at or row.ts)
        for row in connection.execute(query)
    ]


def since(connection: Connection, start: int, limit: int) -> list[tuple[str, str, int, float]]:
    """(device, metric, ts, value) of all readings from `start` (UTC ms) on, by series and time, at most `limit`."""
    query = (
        select(devices.c.name, series.c.metric, readings.c.ts, readings.c.value)
        .select_from(series)
        .join(devices, devices.c.id == series.c.device_id)
        .join(readings, and_(readings.c.series_id == series.c.id, readings.c.ts >= start))
        .order_by(readings.c.series_id, readings.c.ts)
        .limit(limit)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Record:
    """Temperature and humidity of a device at one ts (UTC ms), None where a metric has no reading then."""

    device: str
    ts: int
    temperature: float | None
    humidity: float | None


def records(connection: Connection, device: str | None, limit: int) -> list[Record]:
    """The newest temperature and humidity readings, one record a (device, ts), newest first.

    However many series there are, only those that can have a part in it are read, many in a statement, and no more of
    their rows than these records can be made of.
    """
    sources, start = _sources(connection, device, limit)
    found: dict[tuple[int, str], dict[str, float]] = {}
    for chunk in in_chunks(sources, _SOURCES_A_STATEMENT):
        for place, ts, value in _newest_rows(connection, [source.series_id for source in chunk], start, limit):
            found.setdefault((ts, chunk[place].device), {})[chunk[place].metric] = value
    keys = sorted(found, key=lambda key: (-key[0], key[1]))[:limit]
    return [Record(name, ts, found[ts, name].get("temperature"), found[ts, name].get("humidity")) for ts, name in keys]


@dataclass(frozen=True, slots=True)
class _Source:
    """A series of temperature or humidity, and the UTC ms of its newest reading."""

    device: str
    metric: str
    series_id: int
    last: int


def _sources(connection: Connection, device: str | None, limit: int) -> tuple[list[_Source], int | None]:
    """Series in which the newest `limit` records lie, by device, and the UTC ms from which they do, None if not known.

    Each device has a record at its newest ts. So where there are at least as many devices as records, those with the
    newest such ts have all records, and none is older than the last of these. One statement tells, by a seek a series.
    """
    last = (
        select(readings.c.ts)
        .where(readings.c.series_id == series.c.id)
        .order_by(readings.c.ts.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(devices.c.name, series.c.metric, series.c.id, last)
        .join(devices, devices.c.id == series.c.device_id)
        .where(series.c.metric.in_(("temperature", "humidity")))
    )
    if device is not None:
        query = query.where(devices.c.name == device)
    every = [_Source(*row) for row in connection.execute(query) if row[3] is not None]
    newest_of: dict[str, int] = {}
    for source in every:
        newest_of[source.device] = max(source.last, newest_of.get(source.device, source.last))
    chosen = sorted(newest_of, key=lambda name: (-newest_of[name], name))[:limit]
    start = newest_of[chosen[-1]] if len(chosen) == limit else None
    names = set(chosen)
    kept = [source for source in every if source.device in names and (start is None or source.last >= start)]
    return sorted(kept, key=lambda source: (source.device, source.metric)), start


def _newest_rows(
    connection: Connection, series_ids: Sequence[int], start: int | None, limit: int
) -> Iterator[tuple[int, int, float]]:
    """(place in `series_ids`, ts, value) of the newest rows from `start` on, enough for `limit` records.

    A record has two rows at most. Of rows with the same ts those of the series that stand first come first.
    """
    since = "" if start is None else f"AND ts >= {start:d} "
    each = " UNION ALL ".join(
        [
            f"SELECT * FROM (SELECT {place:d} AS place, ts, value FROM readings "  # noqa: S608 - numbers alone
            f"WHERE series_id = {series_id:d} {since}ORDER BY ts DESC LIMIT {limit:d}) AS s{place:d}"
            for place, series_id in enumerate(series_ids)
        ]
    )
    query = f"SELECT place, ts, value FROM ({each}) AS every_one ORDER BY ts DESC, place LIMIT {2 * limit:d}"  # noqa: S608 - numbers alone
    yield from connection.exec_driver_sql(query)


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
