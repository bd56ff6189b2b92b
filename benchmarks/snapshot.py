"""What reading the snapshot costs whoever reads it, and what that costs ingest: in this process, with 5,000 series.

A thread applies changes and swaps as the worker does; this thread reads as a stream of /api/live/ and as Live do. First
at 10,000 messages a second, for the times of a refresh; then as fast as it can, with and without a reader in turn, for
what that takes from it: in one interpreter, whoever reads takes turns with whoever stores.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from api.events import encode, events
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile, spread
from benchmarks.telemetry import METRICS, device
from ingest.series import BIN_MS, BINS
from ingest.snapshot import Board, ReadingChange, Snapshot, apply
from pages.parts.live_cards import data_of

_DEVICES: Final = 2_500
_RATE: Final = 10_000
_BATCH: Final = 500
_SECONDS: Final = 20.0
_START_MS: Final = 1_764_000_000_000
#: As /api/live/ paces itself.
_STREAM_S: Final = 0.25

LOOK: Final = "look at the values of all series"
STREAM: Final = "a stream's flush: what changed in 250 ms, encoded"
PAGE: Final = "a page's first painting: everything, with 15 minutes of history"


def run(options: Options) -> list[Table]:
    """Times of each kind of reading, and the writer's slowdown."""
    seconds = 2.0 if options.quick else _SECONDS
    full = _full_snapshot()
    took = _Reads()
    alone: list[float] = []
    read: list[float] = []
    for _ in range(options.rounds):
        _measure(full, seconds, _RATE, took)
        alone.append(_measure(full, seconds / 2, None, None))
        read.append(_measure(full, seconds / 2, None, _Reads(pages=0)))
    rows = [
        (name, count(len(ms)), *(f"{percentile(ms, p):.2f}" for p in (50, 99, 99.9)), f"{max(ms):.2f}", least)
        for name, ms, least in ((LOOK, took.look, "10"), (STREAM, took.stream, "10"), (PAGE, took.page, "stated"))
        if ms
    ]
    slower = [100 * (1 - with_reader / free) for with_reader, free in zip(read, alone, strict=True)]
    costs = (
        ("nobody reads", f"{count(median(alone))} messages/s", ""),
        ("a stream of /api/live/ reads", f"{count(median(read))} messages/s", ""),
        ("slower by", f"{spread(slower, 1)} %", "3 %"),
    )
    return [
        Table(
            f"Reading the snapshot: {count(2 * _DEVICES)} series, {count(_RATE)} messages/s",
            ("a refresh", "how many", "p50 ms", "p99 ms", "p99.9 ms", "longest", "at most, at p99.9"),
            tuple(rows),
            ("Wall time: turns that the writer takes of the interpreter are in it.",),
        ),
        Table("What reading costs the writer", ("applying changes at full speed", "rate", "at most"), costs),
    ]


@dataclass(slots=True)
class _Reads:
    """What reads took, in ms, and how many pages are painted in a run."""

    look: list[float] = field(default_factory=list)
    stream: list[float] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    pages: int = 3


class _Writer:
    """Applies batches, each message two readings, at a rate or as fast as it can."""

    def __init__(self, board: Board, rate: float | None) -> None:
        self.messages = 0
        self.seconds = 0.0
        self._board = board
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            self._board.swap(apply(self._board.current, _batch(self.messages)))
            self.messages += _BATCH
            if self._rate is not None:
                self._stopping.wait(max(0.0, began + self.messages / self._rate - time.monotonic()))
        self.seconds = time.monotonic() - began


def _batch(first: int) -> list[ReadingChange]:
    """Each device in turn, its `ts` as at 10,000 messages a second."""
    return [
        ReadingChange(device(number % _DEVICES), metric, ts, 20.0 + number % 97 / 10, ts)
        for number in range(first, first + _BATCH)
        for ts in (_START_MS + number * 1000 // _RATE,)
        for metric in METRICS
    ]


def _full_snapshot() -> Snapshot:
    """All devices with a whole quarter of an hour of history."""
    snapshot = Snapshot(_START_MS, 0, {})
    for back in range(BINS, 0, -1):
        ts = _START_MS - back * BIN_MS
        changes = [
            ReadingChange(device(number), metric, ts, 20.0, ts) for number in range(_DEVICES) for metric in METRICS
        ]
        snapshot = apply(snapshot, changes)
    return snapshot


def _measure(full: Snapshot, seconds: float, rate: float | None, reads: _Reads | None) -> float:
    """Messages a second that the writer applied, while this thread reads, or sleeps."""
    board = Board(full)
    writer = _Writer(board, rate)
    writer.start()
    if reads is None:
        time.sleep(seconds)
    else:
        _read(board, time.monotonic() + seconds, reads)
    writer.stop()
    return writer.messages / writer.seconds


def _read(board: Board, end: float, reads: _Reads) -> None:
    known = board.current.version
    while (now := time.monotonic()) < end:
        began = time.perf_counter()
        snapshot = board.current
        sum(series.value for one in snapshot.devices.values() for series in one.metrics.values())
        looked = time.perf_counter()
        encode(events(snapshot, known))
        known = snapshot.version
        reads.look.append((looked - began) * 1000)
        reads.stream.append((time.perf_counter() - looked) * 1000)
        time.sleep(max(0.0, now + _STREAM_S - time.monotonic()))
    for _ in range(reads.pages):
        began = time.perf_counter()
        data_of(board.current, None, _START_MS, "UTC")
        reads.page.append((time.perf_counter() - began) * 1000)
