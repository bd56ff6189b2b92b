"""What history costs: sealing, what it and folding leave of the rate at which rows are written, and an import."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.history_data import END_MS, FIVE_S, Store, days, fill_rows, store
from benchmarks.options import Options
from benchmarks.tables import Table, count, spread
from db import chunks, late, sealing
from db import engine as database
from db.packing import DAY_MS
from db.readings import insert_new
from ingest.archive import Archive, HistorySettings
from settings import Settings, secret_key

_ROOT: Final = Path(__file__).parents[1]
_SERIES: Final = 8
_SEALED_DAYS: Final = 20
_A_YEAR_MS: Final = 365 * DAY_MS
#: Of an import.
_READINGS: Final = 1_000_000
_FILES_SERIES: Final = 200


def run(new: Callable[[], str], product: str, options: Options, directory: Path) -> list[Table]:
    """A table each, on one database."""
    return [_sealing(new, product, options), _beside(new, product, options), _import(new, product, options, directory)]


def seal(store_: Store) -> None:
    """Seal all of it, as fast as it goes."""
    sealer = sealing.Sealer("bench", "iot")
    for step in sealing.steps(store_.engine, partial(database.writing, store_.engine), sealer, END_MS):
        assert step.problem is None, step.problem


def write(store_: Store, ts: int) -> int:
    """A thousand readings, the first at `ts` (UTC ms), in a transaction; how many were new."""
    ids: Sequence[int] = [series.id for series in store_.series]
    rows = [(ids[n % len(ids)], ts + n, 20 + n % 10 / 10) for n in range(1_000)]
    with database.writing(store_.engine) as connection:
        return insert_new(connection, rows)


def _filled(new: Callable[[], str], options: Options) -> tuple[Store, int]:
    filled = store(new(), _SERIES)
    number = 1 if options.quick else _SEALED_DAYS
    return filled, sum(fill_rows(filled, series, number, FIVE_S) for series in filled.series)


def _sealing(new: Callable[[], str], product: str, options: Options) -> Table:
    [(start, points)] = days(1, 1_000)
    packed = median(_seconds(lambda: chunks.make(1, start, start + DAY_MS, points)) for _ in range(6))
    filled, total = _filled(new, options)
    took = _seconds(lambda: seal(filled))
    filled.engine.dispose()
    least = "80,000" if product == "MariaDB" else "150,000"
    rows = (
        ("packing", count(len(points) / packed), "1,000,000"),
        ("rows to chunks, alone", count(total / took), least),
    )
    return Table(f"Sealing, {product}", ("what", "readings/s", "at least"), rows)


def _beside(new: Callable[[], str], product: str, options: Options) -> Table:
    """Each against the same without upkeep, and without a look at whether a reading is late."""
    seconds = 0.5 if options.quick else 5.0
    now = time.time_ns() // 1_000_000
    shares: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for name, filled, ts in (
            ("days being sealed", True, now),
            ("hours being folded", False, now),
            ("hours being folded, and all readings late", False, now - _A_YEAR_MS),
        ):
            here = _filled(new, options)[0] if filled else store(new(), _SERIES)
            with patch.object(late, "name"):
                alone = _rate(here, seconds, ts + number)
            with _upkeep(here):
                shares.setdefault(name, []).append(_rate(here, seconds, ts + number + DAY_MS // 4) / alone)
            here.engine.dispose()
    least = {"days being sealed": "0.8", "hours being folded": "0.95"}
    rows = [(name, spread(found), least.get(name, "stated")) for name, found in shares.items()]
    return Table(
        f"Rows written beside upkeep, {product}",
        ("meanwhile", "times the rate without history", "at least"),
        tuple(rows),
        (
            f"{options.rounds} rounds; a thousand rows a transaction, in the same process as upkeep, which begins anew "
            "every second in place of every minute.",
        ),
    )


def _rate(store_: Store, seconds: float, ts: int) -> float:
    """Rows a second of new readings from `ts` (UTC ms) on."""
    began, total = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        total += write(store_, ts)
        ts += 1_000
    return total / (time.monotonic() - began)


@contextmanager
def _upkeep(store_: Store) -> Iterator[None]:
    """A thread does what the keeper's does."""
    stop = threading.Event()
    archive = Archive(store_.engine, partial(database.writing, store_.engine), HistorySettings(2), "bench")

    def work() -> None:
        while not stop.is_set():
            if archive.work(time.monotonic() + 2.0, stop):
                stop.wait(1.0)

    thread = threading.Thread(target=work, name="upkeep")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _import(new: Callable[[], str], product: str, options: Options, directory: Path) -> Table:
    readings = 10_000 if options.quick else _READINGS
    file = directory / "readings.csv"
    _write_csv(file, readings)
    url = new()
    store(url, 1).engine.dispose()
    secret_key(Settings(data_dir=directory))
    command = [sys.executable, "-m", "db", "import", str(file)]
    environment = {"DATABASE_URL": url, "DATA_DIR": str(directory)}
    took = _seconds(lambda: subprocess.run(command, cwd=_ROOT, env=environment, check=True, capture_output=True))
    rows = ((count(readings), f"{file.stat().st_size / 1e6:.0f}", f"{took:.1f}", "20"),)
    columns = ("readings", "MB of CSV", "s", "at most")
    return Table(f"python -m db import, {product}", columns, rows, (f"{_FILES_SERIES} series, a year ago.",))


def _write_csv(file: Path, number: int) -> None:
    """Readings of many series at 30 s, device after device, as our own export has them."""
    each = number // _FILES_SERIES
    ts = np.tile(np.arange(each, dtype=np.int64) * 30_000 + END_MS - _A_YEAR_MS, _FILES_SERIES)
    devices = np.repeat([f"device-{one // 2:03d}" for one in range(_FILES_SERIES)], each)
    metrics = np.repeat([("temperature", "humidity")[one % 2] for one in range(_FILES_SERIES)], each)
    values = np.round(np.random.default_rng(1).normal(20, 5, len(ts)), 1)
    columns = {"ts": ts, "device": devices, "metric": metrics, "value": values}
    pacsv.write_csv(pa.table(columns), file)


def _seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
