"""Publish -> committed, at a tenth and at half of the rate that is sustained while somebody publishes.

Each message carries the monotonic time of its encoding as its `temperature`. A watcher reads new rows of that series by
primary key, over a connection of its own, and notes when it first saw each; so what is measured includes publisher,
broker, worker, commit, and up to one turn of the watcher, whose length is measured too and stated.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks import contestants, parts, processes, publisher, sustained
from benchmarks.contestants import Setting
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile
from benchmarks.telemetry import device, just_now
from tests.parts.mariadb import MariaDB
from tests.parts.worker import WorkerProcess

_SECONDS: Final = 20
_BACKLOG: Final = 100_000
_SHARES: Final = ((0.1, "3 and 10"), (0.5, "- and 100"))
_TURN_S: Final = 0.001
_DEVICES: Final = 100
#: Every so manieth message goes to the device that is watched, whose rows are few enough to be read each time.
_WATCHED_EVERY: Final = 10


def run(options: Options) -> list[Table]:
    """One table: p50 and p99 in ms at both shares, the median of the rounds' values."""
    seconds = 2 if options.quick else _SECONDS
    rows: list[tuple[str, ...]] = []
    with parts.database_server() as server:
        messages = options.backlog(_BACKLOG, 3_000)
        backlog = _from_a_backlog(server, messages)
        full = _while_publishing(server, 2 * messages, backlog)
        print(f"  sustained: {count(full)} messages/s, from a backlog {count(backlog)}", file=sys.stderr)
        for share, limit in _SHARES:
            found = [_measure(server, full * share, seconds) for _ in range(options.rounds)]
            took = [ms for watched in found for ms in watched.took_ms]
            turns = [ms for watched in found for ms in watched.turns_ms]
            rows.append(
                (
                    f"{share:.0%}, {count(full * share)} messages/s",
                    *(f"{percentile(took, percent):.1f}" for percent in (50, 99)),
                    f"{max(took):.1f}",
                    limit,
                    f"{percentile(turns, 50):.1f} and {percentile(turns, 99):.1f}",
                    f"{sum(watched.cpu for watched in found) / len(found):.0%}",
                )
            )
    note = (
        f"{options.rounds} times {seconds} s, {_DEVICES} devices, MariaDB, each commit on the disk; sustained while "
        f"the publisher works on the same machine: {count(full)} messages/s, from a backlog {count(backlog)}. "
        "Seen from outside: up to one turn of the watcher is in every number."
    )
    columns = (
        "share of the sustained rate",
        "p50 ms",
        "p99 ms",
        "longest",
        "at most",
        "watcher's turn",
        "worker's CPU",
    )
    return [Table("Publish to committed", columns, tuple(rows), (note,))]


def _from_a_backlog(server: MariaDB, messages: int) -> float:
    with parts.broker() as broker, parts.directory() as directory:
        return contestants.worker(Setting(broker, server, directory, messages)).rate


def _while_publishing(server: MariaDB, messages: int, rate: float) -> float:
    with _running_worker(server) as (url, port, _pid):
        return sustained.rate(url, port, messages, rate, _DEVICES)


@contextmanager
def _running_worker(server: MariaDB) -> Iterator[tuple[str, int, int]]:
    """A worker on an empty database; the database's URL, the broker's port, the worker's pid."""
    url = server.fresh_database()
    with parts.broker() as broker, parts.directory() as directory:
        settings = {"MQTT_URL": broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench", "DATA_DIR": str(directory)}
        with WorkerProcess(directory, settings) as worker:
            yield url, broker.port, worker.process.pid


@dataclass(slots=True)
class _Watched:
    """Ms from encoding to being seen, of each watched message, and of each turn of the watcher."""

    took_ms: list[float] = field(default_factory=list)
    turns_ms: list[float] = field(default_factory=list)
    cpu: float = 0.0


def _measure(server: MariaDB, rate: float, seconds: float) -> _Watched:
    with _running_worker(server) as (url, port, pid):
        start = just_now()
        # The first second makes the series, and lets everything warm up.
        publisher.publish_evenly(port, _messages(int(rate), 0, start), rate)
        watched, done = _Watched(), threading.Event()
        expected = int(rate * seconds)
        watcher = threading.Thread(target=_watch, args=(url, watched, expected, start + int(rate), done))
        watcher.start()
        before, began = processes.usage(pid).cpu_s, time.monotonic()
        publisher.publish_evenly(port, _messages(expected, int(rate), start), rate)
        watched.cpu = (processes.usage(pid).cpu_s - before) / (time.monotonic() - began)
        done.set()
        watcher.join(30)
    if len(watched.took_ms) < expected // _WATCHED_EVERY:
        raise RuntimeError(f"of {expected // _WATCHED_EVERY} watched messages {len(watched.took_ms)} were seen")
    return watched


def _messages(number: int, first: int, start: int) -> Iterator[tuple[str, bytes]]:
    """Each is asked for when it is due, and then carries that moment. Their `ts` are `start` and a ms for each."""
    for seq in range(first, first + number):
        who = "watched" if (seq - first) % _WATCHED_EVERY == 0 else device(seq % _DEVICES)
        values = f'"temperature":{time.monotonic()!r},"humidity":1'
        yield f"iot/{who}/telemetry", f'{{"ts":{start + seq},"seq":{seq},"boot":"b",{values}}}'.encode()


def _watch(url: str, watched: _Watched, messages: int, start: int, done: threading.Event) -> None:
    """Read what is new of the watched series, from `start` (UTC ms) on, each ms, until all has been seen or nothing
    comes after the end.
    """
    expected = -(-messages // _WATCHED_EVERY)
    series = (
        "SELECT s.id FROM series s JOIN devices d ON d.id = s.device_id "
        "WHERE d.name = 'watched' AND s.metric = 'temperature'"
    )
    last, series_id, quiet_at = start - 1, 0, time.monotonic()
    with parts.connect(url) as connection, connection.cursor() as cursor:
        while len(watched.took_ms) < expected and not (done.is_set() and time.monotonic() - quiet_at > 5):
            began = time.monotonic()
            if not series_id:
                cursor.execute(series)
                series_id = int((cursor.fetchone() or (0,))[0])
            cursor.execute(f"SELECT ts, value FROM readings WHERE series_id = {series_id} AND ts > {last} ORDER BY ts")
            rows = cursor.fetchall()
            now = time.monotonic()
            watched.took_ms += [(now - row[1]) * 1000 for row in rows]
            if rows:
                last, quiet_at = int(rows[-1][0]), now
            time.sleep(_TURN_S)
            watched.turns_ms.append((time.monotonic() - began) * 1000)
