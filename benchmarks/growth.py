"""Whether it gets slower with more devices, and with more rows already stored."""

from __future__ import annotations

import shutil
import sys
from typing import Final

from benchmarks import contestants, parts, telemetry
from benchmarks.contestants import Run, Setting
from benchmarks.options import Options
from benchmarks.tables import Table, count, spread
from db import devices, migrations
from db import engine as database
from tests.parts.mariadb import MariaDB

_BACKLOG: Final = 200_000
#: How many, whether the database knows them already, and at least how many times the rate of the first.
_DEVICES: Final = ((1, True, ""), (100, True, "0.8"), (10_000, True, "0.6"), (10_000, False, "stated"))
_ROWS: Final = (100_000, 10_000_000)
_ROWS_FULL: Final = (*_ROWS, 100_000_000)
#: Bytes of disk a row takes while it is filled, with the log and room to spare.
_BYTES_A_ROW: Final = 80
_OLD_DEVICES: Final = 100
#: Between the first message of a run and that of the next in the same table: more than one holds.
_APART_MS: Final = 30_000


def run(options: Options) -> list[Table]:
    """Against one device, and against an empty table, in rounds."""
    messages = options.backlog(_BACKLOG, 3_000)
    with parts.database_server() as server:
        return [_devices(server, messages, options.rounds), _rows(server, messages, options)]


def _devices(server: MariaDB, messages: int, rounds: int) -> Table:
    rates: dict[tuple[int, bool], list[float]] = {}
    for _ in range(rounds):
        for number, known, _least in _DEVICES:
            url = server.fresh_database()
            _know(url, number if known else 0)
            rates.setdefault((number, known), []).append(_one(server, messages, url, devices=number).rate)
            print(f"  {_name(number, known)}: {count(rates[number, known][-1])} messages/s", file=sys.stderr)
    alone = rates[_DEVICES[0][:2]]
    rows = [
        (
            _name(number, known),
            count(sum(rates[number, known]) / rounds),
            spread([mine / one for mine, one in zip(rates[number, known], alone, strict=True)]),
            least,
        )
        for number, known, least in _DEVICES
    ]
    return Table(
        "More devices",
        ("devices", "messages/s", "times the rate of one device", "at least"),
        tuple(rows),
        (f"{rounds} rounds of {count(messages)} messages.",),
    )


def _name(devices: int, known: bool) -> str:
    return count(devices) if known else f"{count(devices)}, each heard for the first time"


def _rows(server: MariaDB, messages: int, options: Options) -> Table:
    sizes = (10_000,) if options.quick else _ROWS_FULL if options.full else _ROWS
    rows: list[tuple[str, str, str, str]] = []
    for size in sizes:
        free = shutil.disk_usage("/tmp").free  # noqa: S108 - where the server keeps its files
        if free < size * _BYTES_A_ROW * 1.5:
            rows.append((count(size), "", f"{free / 1e9:.0f} GB of disk are too few", "0.8"))
            continue
        filled = server.fresh_database()
        _fill_rows(filled, size)
        start = telemetry.just_now()
        ratios: list[float] = []
        rates: list[float] = []
        for _ in range(options.rounds):
            empty = _one(server, messages, server.fresh_database()).rate
            rates.append(_one(server, messages, filled, start=start + _APART_MS * len(rates)).rate)
            ratios.append(rates[-1] / empty)
            print(f"  {count(size)} rows stored: {count(rates[-1])} messages/s, empty {count(empty)}", file=sys.stderr)
        rows.append((count(size), count(sum(rates) / len(rates)), spread(ratios), "0.8"))
        server.drop_database(filled)
    return Table(
        "More rows already stored",
        ("rows", "messages/s", "times the rate of an empty table", "at least"),
        tuple(rows),
        (
            f"{options.rounds} rounds of {count(messages)} messages of 100 devices whose rows are there already, up to "
            "then; 1 GiB of buffer pool." + ("" if options.full else " 10^8 rows: --full."),
        ),
    )


def _one(server: MariaDB, messages: int, url: str, *, devices: int = _OLD_DEVICES, start: int | None = None) -> Run:
    with parts.broker() as broker, parts.directory() as directory:
        return contestants.worker(Setting(broker, server, directory, messages, devices, start), database_url=url)


def _know(url: str, number: int) -> list[int]:
    """Make the tables, and so many devices with two series each. The series' ids, in order."""
    engine = database.create(url)
    migrations.apply(engine)
    with database.writing(engine) as connection:
        ids = devices.ensure(connection, [telemetry.device(each) for each in range(number)], telemetry.just_now())
        wanted = {(device_id, metric) for device_id in ids.values() for metric in telemetry.METRICS}
        series = devices.ensure_series(connection, wanted, telemetry.just_now())
    engine.dispose()
    return sorted(series.values())


def _fill_rows(url: str, size: int) -> None:
    """Rows of 100 devices of two metrics, ending before the first message of a run, in the order of their key."""
    series = _know(url, _OLD_DEVICES)
    each = size // len(series)
    first = telemetry.just_now() - 1_000 - each * telemetry.STEP_MS
    for series_id in series:
        parts.execute(
            url,
            f"INSERT INTO readings (series_id, ts, value) SELECT {series_id}, {first} + seq * {telemetry.STEP_MS}, "
            f"20 + seq % 100 / 10 FROM seq_0_to_{each - 1}",
        )
