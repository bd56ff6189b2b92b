"""History: charts of any length, raw frames, exports, and what sealing costs and saves. MariaDB and SQLite.

One series has ten years at 5 s, sealed but for the last two days, as a server has them; its last year lies as rows in a
database of its own, which is what the others read. `--full` has 100 devices x 2 metrics x 29 days beside it: 100
million readings.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd
from sqlalchemy import text

from benchmarks import history_work, parts
from benchmarks.history_data import END_MS, FIVE_S, Store, fill, fill_rows, lite, size, store
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile, spread
from db import engine as database
from db import history, ranges
from db.devices import Series
from db.engine import Engine
from db.export_job import ExportJob
from db.exports import Plan
from db.packing import DAY_MS, HOUR_MS

_SPANS: Final = (
    ("1 hour", HOUR_MS),
    ("1 day", DAY_MS),
    ("2 days", 2 * DAY_MS),
    ("30 days", 30 * DAY_MS),
    ("1 year", 365 * DAY_MS),
)
_TEN_YEARS: Final = ("10 years", 3_650 * DAY_MS)
_POINTS: Final = 1_000
#: At least how many times GROUP BY over rows.
_LEAST: Final = {"30 days": "5", "1 year": "50"}
_RATES: Final = (("5 s", 5_000, 60, "5"), ("1 min", 60_000, 365, "7"), ("15 min", 900_000, 3_650, "12"))


def run(options: Options) -> list[Table]:
    """A table each, on both databases."""
    tables: list[Table] = []
    with parts.directory() as directory, parts.database_server() as server:
        for name, new in (("MariaDB", server.fresh_database), ("SQLite", _files(directory))):
            print(f"  {name}: filling", file=sys.stderr)
            sealed, plain = store(new(), 202 if options.full else 2), store(new(), 1)
            fill(sealed, 30 if options.quick else 3_650, FIVE_S, sealed.series[:1])
            fill_rows(plain, plain.series[0], 2 if options.quick else 365, FIVE_S)
            if options.full:
                fill(sealed, 29, FIVE_S, sealed.series[2:])
            tables += [_charts(sealed, plain, options), _frames(sealed, plain, options), _csv(sealed, plain, directory)]
            tables.append(_bytes(new, name, options))
            tables += history_work.run(new, name, options, directory)
            sealed.engine.dispose()
            plain.engine.dispose()
    return tables


def _files(directory: Path) -> Callable[[], str]:
    numbers = iter(range(1_000))
    return lambda: lite(directory, f"store{next(numbers)}")


def _charts(sealed: Store, plain: Store, options: Options) -> Table:
    spans = _SPANS[:3] if options.quick else (*_SPANS, _TEN_YEARS)
    times = 3 if options.quick else 40
    rows: list[tuple[str, ...]] = []
    series, other = sealed.series[0], plain.series[0]
    for name, span in spans:
        ours = _times(times, partial(_chart, sealed, series, span))
        if span <= 365 * DAY_MS:
            grouped = _times(3, partial(_group_by, plain, other, span))
            read = _times(1 if span > 30 * DAY_MS else 3, partial(_read_sql, plain, other, span))
            others = (
                f"{percentile(grouped, 50):.1f}",
                f"{percentile(grouped, 50) / percentile(ours, 50):.1f}",
                _LEAST.get(name, ""),
                f"{percentile(read, 50):.0f}",
            )
        else:
            others = ("", "", "", "")
        with _writing(sealed):
            busy = _times(times, partial(_chart, sealed, series, span))
        slower = f"{percentile(busy, 50) / percentile(ours, 50):.1f}"
        rows.append((name, f"{percentile(ours, 50):.1f}", f"{percentile(ours, 95):.1f}", "40", *others, slower, "2"))
    columns = (
        *("range", "p50 ms", "p95 ms", "at most", "GROUP BY, ms", "times ours", "at least"),
        *("read_sql, ms", "while rows are written: times as long", "at most"),
    )
    note = (
        f"{times} times each, warm, at 5 s a reading; the others read the same readings as rows of a table of its own."
    )
    return Table(f"A chart of {_POINTS:,} points, {sealed.product}", columns, tuple(rows), (note,))


def _chart(sealed: Store, series: Series, span: int) -> None:
    with database.snapshot(sealed.engine) as connection:
        found = ranges.read(connection, series, END_MS - span, END_MS, _POINTS)
    assert len(found.frame)


def _group_by(plain: Store, series: Series, span: int) -> None:
    width = max(FIVE_S, span // _POINTS)
    query = text(
        f"SELECT ts - ts % {width} AS bucket, COUNT(*) AS n, MIN(value) AS lo, MAX(value) AS hi, AVG(value) AS mean "
        f"FROM readings WHERE series_id = {series.id} AND ts >= {END_MS - span} AND ts < {END_MS} GROUP BY bucket"
    )
    with database.reading(plain.engine) as connection:
        assert len(pd.read_sql(query, connection))


def _read_sql(plain: Store, series: Series, span: int) -> None:
    query = text(f"SELECT ts, value FROM readings WHERE series_id = {series.id} AND ts >= {END_MS - span} ORDER BY ts")
    with database.reading(plain.engine) as connection:
        assert len(pd.read_sql(query, connection))


def _frames(sealed: Store, plain: Store, options: Options) -> Table:
    rows = []
    for number in (1,) if options.quick else (1, 30):
        ours = _times(5, partial(_raw, sealed, number * DAY_MS))
        theirs = _times(3, partial(_read_sql, plain, plain.series[0], number * DAY_MS))
        ratio = [slow / quick for slow, quick in zip(theirs, ours, strict=False)]
        rows.append(
            (
                f"{number} days, {number * DAY_MS // FIVE_S:,} readings",
                f"{percentile(ours, 50):.1f}",
                f"{percentile(theirs, 50):.0f}",
                spread(ratio, 1),
                "30" if number == 30 else "",
            )
        )
    columns = ("readings", "ours, ms", "read_sql, ms", "times", "at least")
    return Table(f"A frame of single readings, {sealed.product}", columns, tuple(rows))


def _raw(sealed: Store, span: int) -> None:
    with database.snapshot(sealed.engine) as connection:
        found = history.raw(connection, sealed.series[0].id, END_MS - span, END_MS)
    assert len(pd.DataFrame({"ts": found.ts, "value": found.value}))


def _csv(sealed: Store, plain: Store, directory: Path) -> Table:
    """In processes of their own, because memory never shrinks."""
    span = min(1_000_000 * FIVE_S, _length(plain))
    ours = _apart(_export, sealed.url, sealed.series[0], span, directory)
    theirs = _apart(_to_csv, plain.url, plain.series[0], span, directory)
    rows = (
        (
            "ours",
            f"{ours[0]:.2f}",
            f"{theirs[0] / ours[0]:.1f}",
            "15",
            f"{ours[1]:.0f}",
            "150",
            f"{ours[2]:.0f}",
            "200",
        ),
        ("read_sql and to_csv", f"{theirs[0]:.2f}", "", "", f"{theirs[1]:.0f}", "", "", ""),
    )
    columns = ("CSV", "s", "times", "at least", "MB more", "at most", "first byte, ms", "at most")
    note = "Each in a process of its own, after a day's readings that tell nobody anything: a server is warm."
    return Table(f"{count(span / FIVE_S)} readings as CSV, {sealed.product}", columns, rows, (note,))


def _length(plain: Store) -> int:
    with database.snapshot(plain.engine) as connection:
        extent = history.extent(connection, plain.series[0].id)
    assert extent is not None
    return extent[1] + FIVE_S - extent[0]


Took = tuple[float, float, float]


def _apart(what: Callable[..., Took], *given: object) -> Took:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(what, given)


def _export(url: str, series: Series, span: int, directory: Path) -> Took:
    engine = database.create(url)
    _export_once(engine, series, DAY_MS, directory)
    return _export_once(engine, series, span, directory)


def _export_once(engine: Engine, series: Series, span: int, directory: Path) -> Took:
    plan = Plan((series,), END_MS - span, END_MS, "raw", UTC, "long")
    before = _memory_mb()
    began = time.monotonic()
    job = ExportJob(engine, plan, "csv", directory, lambda: None)
    job.start()
    first = None
    offset = 0
    while (part := job.read(offset, 1 << 20, 10)) is not None:
        first = first or time.monotonic()
        offset += len(part)
    took = time.monotonic() - began
    job.close()
    return took, _memory_mb() - before, ((first or began) - began) * 1e3


def _to_csv(url: str, series: Series, span: int, directory: Path) -> Took:
    engine = database.create(url)
    _to_csv_once(engine, series, DAY_MS, directory)
    return _to_csv_once(engine, series, span, directory)


def _to_csv_once(engine: Engine, series: Series, span: int, directory: Path) -> Took:
    query = text(f"SELECT ts, value FROM readings WHERE series_id = {series.id} AND ts >= {END_MS - span} ORDER BY ts")
    before = _memory_mb()
    began = time.monotonic()
    with database.reading(engine) as connection:
        frame = pd.read_sql(query, connection)
    frame.insert(0, "time", pd.to_datetime(frame["ts"], unit="ms", utc=True))
    frame = frame.assign(device=series.device, metric=series.metric, unit=series.unit)
    frame.to_csv(directory / "theirs.csv", index=False)
    return time.monotonic() - began, _memory_mb() - before, 0.0


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _bytes(new: Callable[[], str], product: str, options: Options) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, step_ms, usual, most in _RATES:
        plain, sealed = store(new(), 4), store(new(), 4)
        number = 3 if options.quick else usual
        empty = size(sealed)
        total = sum(fill_rows(sealed, series, number, step_ms) for series in sealed.series)
        history_work.seal(sealed)
        as_rows = sum(fill_rows(plain, series, min(number, 60), step_ms) for series in plain.series)
        ours = (size(sealed) - empty) / total
        rows.append((name, count(total), f"{ours:.1f}", most, f"{(size(plain) - empty) / as_rows:.1f}"))
    columns = ("a reading each", "readings", "bytes a reading", "at most", "as rows")
    return Table(f"What a reading takes, {product}", columns, tuple(rows), ("All resolutions and indexes included.",))


@contextmanager
def _writing(sealed: Store) -> Iterator[None]:
    """Another process writes rows meanwhile, at half of what it can."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    writer = context.Process(target=_keep_writing, args=(sealed.url, sealed.series, ready, stop))
    writer.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        stop.set()
        writer.join()


def _keep_writing(url: str, series: tuple[Series, ...], ready: threading.Event, stop: threading.Event) -> None:
    other = Store(url, database.create(url), series[-1:])  # not the series that is read
    ts = int(time.time() * 1_000)
    while not stop.is_set():
        began = time.monotonic()
        ts += 1_000
        history_work.write(other, ts)
        ready.set()
        stop.wait(time.monotonic() - began)


def _times(number: int, what: Callable[[], object]) -> list[float]:
    """Milliseconds of each, after once that does not count."""
    what()
    found = []
    for _ in range(number):
        began = time.perf_counter()
        what()
        found.append((time.perf_counter() - began) * 1e3)
    return found
