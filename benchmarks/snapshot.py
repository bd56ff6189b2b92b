"""What reading the snapshot costs whoever reads it, and what that costs ingest: in one process, with 5,000 series.

A thread applies changes and swaps as the worker does. First at 10,000 messages a second, while another refreshes as a
stream of /api/live/ does, at its pace, for the times of that. Then as fast as it can, with and without open
streams in turn, whose clients are another process: in one interpreter, whoever reads takes turns with whoever stores.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median
from typing import Final

from api.feed import FLUSH_S, Feed
from benchmarks import parts
from benchmarks.options import Options
from benchmarks.tables import Table, count, percentile, spread
from benchmarks.telemetry import METRICS, device
from benchmarks.viewers import Viewers
from ingest import heap
from ingest.series import BIN_MS, BINS
from ingest.snapshot import Board, ReadingsChange, Snapshot, apply
from pages.parts.live_cards import data_of
from runtime import TURN_S
from tests.api.server import Served, place

_DEVICES: Final = 2_500
_RATE: Final = 10_000
_BATCH: Final = 500
_SECONDS: Final = 90.0
_PAGES: Final = 3
_VIEWERS: Final = (1, 20)
#: Of the writer at full speed: how often in a round each number of streams has its turn, and for how long.
_TURNS: Final = 10
_EACH_S: Final = 2.0
_SETTLE_S: Final = 0.5
_START_MS: Final = 1_764_000_000_000

LOOK: Final = "look at the values of all series"
STREAM: Final = "a stream's flush: what changed since the last one, encoded"
PAGE: Final = "a page's first painting: everything, with 15 minutes of history"


def run(options: Options) -> list[Table]:
    """Times of each kind of reading, and the writer's slowdown."""
    heap.settle()
    sys.setswitchinterval(TURN_S)  # both as the server does
    full = _full_snapshot()
    took = _Took()
    for _ in range(options.rounds):
        _refreshes(full, 2.0 if options.quick else _SECONDS, took)
    turns = 1 if options.quick else _TURNS * options.rounds
    return [_times(took), _costs(_turns(full, turns, 1.0 if options.quick else _EACH_S))]


@dataclass(slots=True)
class _Times:
    """What reads of a kind took, in ms: by the clock, and of this thread's CPU."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Notes what happens in it."""
        cpu, wall = time.thread_time(), time.perf_counter()
        yield
        self.wall.append((time.perf_counter() - wall) * 1000)
        self.cpu.append((time.thread_time() - cpu) * 1000)


@dataclass(frozen=True, slots=True)
class _Took:
    """What each kind of reading took."""

    look: _Times = field(default_factory=_Times)
    stream: _Times = field(default_factory=_Times)
    page: _Times = field(default_factory=_Times)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Messages a second that the writer applied, and what all other threads took meanwhile, as a share of a core."""

    rate: float
    others_cpu: float


class _Writer:
    """Applies batches, each message two readings, at a rate or as fast as it can."""

    def __init__(self, board: Board, rate: float | None) -> None:
        self.messages = 0
        self.cpu_s = 0.0
        self._board = board
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    def __enter__(self) -> _Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def turn(self, seconds: float) -> _Turn:
        """What happens in the next so many seconds."""
        messages, began, others = self.messages, time.monotonic(), time.process_time() - self.cpu_s
        time.sleep(seconds)
        took = time.monotonic() - began
        return _Turn((self.messages - messages) / took, (time.process_time() - self.cpu_s - others) / took)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            batch = _batch(self.messages)
            self._board.update(lambda current, batch=batch: apply(current, batch))  # type: ignore[misc]
            self.messages += _BATCH
            self.cpu_s = time.thread_time()
            if self._rate is not None:
                self._stopping.wait(max(0.0, began + self.messages / self._rate - time.monotonic()))


def _batch(first: int) -> list[ReadingsChange]:
    """Each device in turn, its `ts` as at 10,000 messages a second."""
    return [
        ReadingsChange(device(number % _DEVICES), [(ts, tuple([(metric, value) for metric in METRICS]), ts)])
        for number in range(first, first + _BATCH)
        for ts, value in ((_START_MS + number * 1000 // _RATE, 20.0 + number % 97 / 10),)
    ]


def _full_snapshot() -> Snapshot:
    """All devices with a whole quarter of an hour of history."""
    snapshot = Snapshot(_START_MS, 0, {})
    for back in range(BINS, 0, -1):
        ts = _START_MS - back * BIN_MS
        values = tuple([(metric, 20.0) for metric in METRICS])
        changes = [ReadingsChange(device(number), [(ts, values, ts)]) for number in range(_DEVICES)]
        snapshot = apply(snapshot, changes)
    return snapshot


# How long a refresh takes


def _refreshes(full: Snapshot, seconds: float, took: _Took) -> None:
    board = Board(full)
    with _Writer(board, _RATE):
        asyncio.run(_read(board, time.monotonic() + seconds, took))
        for _ in range(_PAGES):
            with took.page.one():
                data_of(board.current, {}, None, _START_MS, "UTC")


async def _read(board: Board, end: float, took: _Took) -> None:
    """Refresh as a stream does, and in the middle between two of them look at all, so that none warms the other."""
    clock = asyncio.get_running_loop().time
    feed = Feed(board)
    known = board.current.version
    while time.monotonic() < end:
        await asyncio.sleep(max(feed.pause(clock()), FLUSH_S / 2))
        with took.stream.one():
            known, flushed = feed.since(known, clock())
            for _ in flushed:
                await asyncio.sleep(0)
        await asyncio.sleep(FLUSH_S / 2)
        with took.look.one():
            sum(series.value for one in board.current.devices.values() for series in one.metrics.values())


def _times(took: _Took) -> Table:
    rows = [
        (
            name,
            count(len(times.wall)),
            f"{median(times.cpu):.2f}",
            *(f"{percentile(times.wall, p):.2f}" for p in (50, 99, 99.9)),
            f"{max(times.wall):.2f}",
            least,
        )
        for name, times, least in ((LOOK, took.look, "10"), (STREAM, took.stream, "10"), (PAGE, took.page, "stated"))
    ]
    return Table(
        f"Reading the snapshot: {count(2 * _DEVICES)} series, {count(_RATE)} messages/s",
        ("a refresh", "how many", "own CPU, ms", "p50 ms", "p99 ms", "p99.9 ms", "longest", "at most, at p99.9"),
        tuple(rows),
        ("Wall time but for its CPU: turns that the writer takes of the interpreter are in it.",),
    )


# What it takes from the writer


def _turns(full: Snapshot, turns: int, seconds: float) -> dict[int, list[_Turn]]:
    """The writer's turns by how many streams are open meanwhile, one after the other."""
    found: dict[int, list[_Turn]] = {viewers: [] for viewers in (0, *_VIEWERS)}
    with parts.directory() as directory, place(directory, f"sqlite:///{directory}/monitor.db") as here:
        here.board.swap(full)
        served = Served()
        served.start()
        with _clients(served.url) as clients, _Writer(here.board, None) as writer:
            for _ in range(turns):
                for viewers, of_viewers in found.items():
                    clients.send(viewers)
                    time.sleep(_SETTLE_S)
                    of_viewers.append(writer.turn(seconds))
        here.runtime.announce_stop()
        served.stop()
    return found


@contextmanager
def _clients(url: str) -> Iterator[Connection]:
    """A process of its own that keeps as many streams open as it is sent."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_look_on, args=(url, theirs), name="viewers")
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(10)


def _look_on(url: str, orders: Connection) -> None:
    viewers = orders.recv()
    while viewers is not None:
        with Viewers(url, viewers, ask=False):
            try:
                viewers = orders.recv()
            except EOFError:
                viewers = None


def _costs(found: dict[int, list[_Turn]]) -> Table:
    names = {0: "nobody looks", 1: "a stream of /api/live/"}
    rows = []
    for viewers, turns in found.items():
        slower = [100 * (1 - turn.rate / free.rate) for turn, free in zip(turns, found[0], strict=True)]
        rows.append(
            (
                names.get(viewers, f"{viewers} streams"),
                f"{count(median(turn.rate for turn in turns))} messages/s",
                f"{spread(slower, 1)} %" if viewers else "",
                f"{spread([100 * turn.others_cpu for turn in turns], 1)} %",
                "3 %" if viewers else "",
            )
        )
    return Table(
        "What reading costs the writer",
        ("applying changes at full speed", "rate", "slower by", "CPU of all but the writer", "at most"),
        tuple(rows),
        (
            f"{len(found[0])} turns of each, in turn: a ratio is that of two neighbours. The clients, over HTTP, are a "
            "process of their own, which wants a core as well. CPU is of one core, and what a writer that never waits "
            "loses to others in the same interpreter.",
        ),
    )
