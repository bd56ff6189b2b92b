"""Readings to measure history with: a sensor's, years of them, as rows and sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import delete, text

from benchmarks import parts, telemetry
from db import devices, folding, migrations
from db import engine as database
from db.chunks import MOST
from db.devices import Series
from db.engine import Engine
from db.packing import DAY_MS, Points
from db.readings import Row, insert_new
from db.schema import late
from db.sealing import pack_days, put_days

#: Days at the end that are rows while a server runs.
OPEN_DAYS: Final = 2
_DAYS_AT_ONCE: Final = 60
_ROWS_AT_ONCE: Final = 100_000
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
    """Readings as rows, none of them folded. Returns how many."""
    total = 0
    rows: list[Row] = []
    for start, points in days(number, step_ms, series.id):
        rows += zip(repeat(series.id), points.ts.tolist(), points.value.tolist(), strict=False)
        if len(rows) >= _ROWS_AT_ONCE or start + DAY_MS == END_MS:
            with database.writing(store_.engine) as connection:
                total += insert_new(connection, rows)
                connection.execute(delete(late))  # they came a year late, and nothing of them was folded before
            rows = []
    return total


def fill_sealed(store_: Store, series: Series, number: int, step_ms: int, but: int = 0) -> int:
    """Readings as sealing makes them of days, chunks and hours, a good many in a transaction. Returns how many.

    `but`: so many of the last days are left out.
    """
    total = 0
    each = islice(days(number, step_ms, series.id), number - but)
    while some := list(islice(each, _DAYS_AT_ONCE)):
        whole = [pack_days(series.id, start, start + DAY_MS, points, MOST) for start, points in some]
        with database.writing(store_.engine) as connection:
            for one in whole:
                put_days(connection, one)
        total += sum(len(points) for _, points in some)
    return total


def fill(store_: Store, number: int, step_ms: int, which: Sequence[Series]) -> None:
    """So many days as they are while a server runs: sealed, but for the last two, of which hours that are over are
    folded.
    """
    for series in which:
        fill_sealed(store_, series, number, step_ms, OPEN_DAYS)
        fill_rows(store_, series, OPEN_DAYS, step_ms)
    for _ in folding.steps(store_.engine, partial(database.writing, store_.engine), END_MS):
        pass


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
