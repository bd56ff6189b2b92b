"""Temperature and humidity of devices side by side, as the first version of the API gives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from db import history
from db.schema import chunks, devices, readings, series
from db.statements import in_chunks

#: SQLite takes at most 500 SELECTs in one UNION; together these are 50 kB of text.
_SOURCES_A_STATEMENT: Final = 300


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
    rows: Counter[int] = Counter()
    for some in in_chunks(sources, _SOURCES_A_STATEMENT):
        for place, ts, value in _newest_rows(connection, [source.series_id for source in some], start, limit):
            found.setdefault((ts, some[place].device), {})[some[place].metric] = value
            rows[some[place].series_id] += 1
    for source in sources:  # of a device that has been silent for days, or sends a few readings a day
        if source.sealed and rows[source.series_id] < limit:
            points = history.last(connection, source.series_id, limit)
            for ts, value in zip(points.ts.tolist(), points.value.tolist(), strict=True):
                if start is None or ts >= start:
                    found.setdefault((ts, source.device), {})[source.metric] = value
    keys = sorted(found, key=lambda key: (-key[0], key[1]))[:limit]
    return [Record(name, ts, found[ts, name].get("temperature"), found[ts, name].get("humidity")) for ts, name in keys]


@dataclass(frozen=True, slots=True)
class _Source:
    """A series of temperature or humidity, the UTC ms of its newest reading, and whether some of it is sealed."""

    device: str
    metric: str
    series_id: int
    last: int
    sealed: bool


def _sources(connection: Connection, device: str | None, limit: int) -> tuple[list[_Source], int | None]:
    """Series in which the newest `limit` records lie, by device, and the UTC ms from which they do, None if not known.

    Each device has a record at its newest ts. So where there are at least as many devices as records, those with the
    newest such ts have all records, and none is older than the last of these. Two seeks a series tell.
    """
    last = (
        select(readings.c.ts)
        .where(readings.c.series_id == series.c.id)
        .order_by(readings.c.ts.desc())
        .limit(1)
        .scalar_subquery()
    )
    sealed = (
        select(chunks.c.last)
        .where(chunks.c.series_id == series.c.id)
        .order_by(chunks.c.start.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(devices.c.name, series.c.metric, series.c.id, last, sealed)
        .join(devices, devices.c.id == series.c.device_id)
        .where(series.c.metric.in_(("temperature", "humidity")))
    )
    if device is not None:
        query = query.where(devices.c.name == device)
    every = [
        _Source(name, metric, series_id, max(ts for ts in ends if ts is not None), ends[1] is not None)
        for name, metric, series_id, *ends in connection.execute(query)
        if ends != [None, None]
    ]
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
