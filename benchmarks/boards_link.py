"""The boards' firmware on this PC: what it takes of flash and heap, and how long a reading is from the wire to its row.

The ESP8266 asks a time server on this machine and gives each reading the time at which its frame had come; a watcher
reads new rows by primary key and notes when it first saw each. So what is measured is everything after the wire.
"""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks import parts
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile
from firmware import build
from tests.firmware.time_server import TimeServer
from tests.parts.boards import DEVICE, Boards
from tests.parts.eventually import eventually
from tests.parts.worker import WorkerProcess

_SECONDS: Final = 60
_PERIOD_MS: Final = 100
_TURN_S: Final = 0.001
_ROWS: Final = (
    "SELECT r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id JOIN devices d ON d.id = s.device_id "
    f"WHERE d.name = '{DEVICE}' AND s.metric = %s AND r.ts > %s ORDER BY r.ts"
)


def run(options: Options) -> list[Table]:
    """Two tables: sizes and heap; latency and loop gap."""
    seconds = 3 if options.quick else _SECONDS
    with (
        parts.database_server() as server,
        parts.broker() as broker,
        parts.directory() as directory,
        TimeServer() as clock,
    ):
        url = server.fresh_database()
        settings = {"MQTT_URL": broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench", "DATA_DIR": str(directory)}
        esp8266 = {"time_host": "127.0.0.1", "time_port": clock.port, "health_ms": 500}
        (directory / "boards").mkdir()
        pair = Boards(directory / "boards", broker.url, "iot", stm32={"period_ms": _PERIOD_MS}, esp8266=esp8266)
        with WorkerProcess(directory, settings), pair, parts.connect(url) as connection:
            pair.measure(20, 50)
            eventually(lambda: _rows(connection, "temperature", 0), what="the first row")
            took = _watch(connection, seconds)
            free = [value for _, value in _rows(connection, "vitals.free_heap", 0)]
            gaps = [value for _, value in _rows(connection, "vitals.longest_gap", 0)]
    return [_sizes(free), _latency(took, gaps, seconds)]


def _sizes(free: list[float]) -> Table:
    rows = []
    for board in build.BOARDS:
        size, budget = sum(map(len, build.modules(board).values())), build.budget(board)
        # This MicroPython's objects are twice as large as the board's.
        left = f"{min(free) / 2 / 1024:.1f} KiB of {budget.heap_kib}" if board == "esp8266" else "not told"
        rows.append((board, f"{count(size)} of {count(budget.files_bytes)}", left))
    note = (
        "Precompiled by mpy-cross. Heap: the least that was free after a collection, halved, on a 64-bit MicroPython "
        "with twice the board's heap; the ESP8266's files run in place from its flash. Not measured on a board."
    )
    return Table(
        "Sizes and heap of the boards' firmware", ("board", "bytes of flash", "free heap"), tuple(rows), (note,)
    )


def _latency(took: list[float], gaps: list[float], seconds: int) -> Table:
    row = (
        "frame on the ESP8266's UART to row in MariaDB",
        *(f"{percentile(took, percent):.1f}" for percent in (50, 95)),
        f"{max(took):.1f}",
        f"{max(gaps):.0f}",
    )
    note = f"{count(len(took))} readings in {seconds} s, one each {_PERIOD_MS} ms, on this PC: no radio, no real UART."
    columns = ("", "p50 ms", "p95 ms", "longest", "longest loop gap of the ESP8266, ms")
    return Table("From the wire to a row", columns, (row,), (note,))


def _watch(connection: Any, seconds: int) -> list[float]:
    """Ms from each reading's time to when its row was seen."""
    took: list[float] = []
    last = int(time.time() * 1000)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rows = _rows(connection, "temperature", last)
        now = time.time() * 1000
        took += [now - ts for ts, _ in rows]
        if rows:
            last = int(rows[-1][0])
        time.sleep(_TURN_S)
    return took


def _rows(connection: Any, metric: str, after: int) -> list[tuple[int, float]]:
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, (metric, after))
        return list(cursor.fetchall())
