"""Readings to measure history with: a sensor's, years of them, as rows and sealed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import text

from benchmarks import parts, telemetry
from db import chunks, devices, hours, migrations
from db import engine as database
from db.devices import Series
from db.engine import Engine
from db.packing import DAY_MS, HOUR_MS, Points, fold
from db.readings import insert_new

#: 2025-11-25, a midnight.
END_MS: Final = 1_764_028_800_000
FIVE_S: Final = 5_000


@dataclass(frozen=True, slots=True)
class Store:
    """A database and its series, all of one rate."""

    url: str
    engine: Engine
    series: tuple[Series, ...]

    @property
    def product(self) -> str:
        """Which database it is."""
        return "SQLite" if self.engine.dialect.name == "sqlite" else "MariaDB"


def store(url: str, number: int) -> Store:
    """An empty database with so many series, two a device."""
    engine = database.create(url)
    migrations.apply(engine)
    made: list[Series] = []
    with database.writing(engine) as connection:
        names = [telemetry.device(each) for each in range((number + 1) // 2)]
        ids = devices.ensure(connection, names, END_MS)
        wanted = [(ids[name], metric) for name in names for metric in telemetry.METRICS][:number]
        found = devices.ensure_series(connection, wanted, END_MS)
        by_id = {device_id: name for name, device_id in ids.items()}
        made = [Series(found[key], by_id[key[0]], key[1], "°C", None) for key in wanted]
    return Store(url, engine, tuple(made))


def days(number: int, step_ms: int, seed: int = 0) -> Iterator[tuple[int, Points]]:
    """(its start, its readings) of so many days that end at END_MS: a daily wave, noise, a decimal as sensors have."""
    rng = np.random.default_rng(seed)
    for start in range(END_MS - number * DAY_MS, END_MS, DAY_MS):
        ts = np.arange(start, start + DAY_MS, step_ms, dtype=np.int64)
        wave = 20 + 5 * np.sin((ts % DAY_MS) / DAY_MS * 2 * np.pi)
        yield start, Points(ts, np.round(wave + rng.normal(0, 0.15, len(ts)), 1))


def fill_rows(store_: Store, series: Series, number: int, step_ms: int) -> int:
    """Readings as rows. Returns how many."""
    total = 0
    for _, points in days(number, step_ms, series.id):
        rows = [(series.id, ts, v) for ts, v in zip(points.ts.tolist(), points.value.tolist(), strict=True)]
        with database.writing(store_.engine) as connection:
            total += insert_new(connection, rows)
    return total


def fill_sealed(store_: Store, series: Series, number: int, step_ms: int) -> int:
    """Readings as chunks and hours, as sealing makes them of days. Returns how many."""
    total = 0
    for start, points in days(number, step_ms, series.id):
        with database.writing(store_.engine) as connection:
            chunks.store(connection, [chunks.make(series.id, start, start + DAY_MS, points)])
            hours.replace(connection, series.id, start, start + DAY_MS, fold(points.ts, points.value, HOUR_MS))
        total += len(points)
    return total


def size(store_: Store) -> int:
    """Bytes of all that holds readings: tables with their indexes, or the file."""
    if store_.engine.dialect.name == "sqlite":
        with database.writing(store_.engine) as connection:
            pages = (
                connection.scalar(
                    text("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")
                )
                or 0
            )
            return int(pages) * int(connection.scalar(text("PRAGMA page_size")) or 0)
    # What sealing left free in `readings` is filled by the next rows.
    parts.execute(store_.url, "OPTIMIZE TABLE readings", "ANALYZE TABLE readings, chunks, hours")
    query = (
        "SELECT SUM(data_length + index_length) FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name IN ('readings', 'chunks', 'hours')"
    )
    with database.reading(store_.engine) as connection:
        return int(connection.scalar(text(query)) or 0)


def lite(directory: Path, name: str) -> str:
    """The address of a new SQLite file."""
    return f"sqlite:///{directory}/{name}.db"
