"""Where the microseconds of a message go: each stage of the worker's loop by itself, in this process, on real parts.

Wall time is what the loop takes; CPU is this thread's own, so the difference is waiting for the database. Statements
are timed at the driver, however they get there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Self, TypeVar

import mqtt5
import pymysql

from benchmarks import parts, telemetry
from benchmarks.options import Options
from benchmarks.tables import Table
from db import devices, migrations, readings
from db import engine as database
from ingest import heap
from ingest.dialects import native
from ingest.dialects.decoded import Decoded, count_readings
from ingest.ledger import Ledger
from ingest.message import Message
from ingest.outcome import Outcome
from ingest.placement import Ids, place
from ingest.snapshot import Board, Snapshot, apply
from ingest.subscriber import Mqtt5Subscriber, SubscriberSettings
from ingest.vitals import now_ms
from ingest.writer import Writer
from settings import MqttAddress

T = TypeVar("T")

#: How many devices take turns, and messages in a batch: what a worker that is busy with them takes at once.
_FLEETS: Final = ((100, 2_000), (10_000, 5_000))
_LARGEST: Final = 1_000_000
_BUFFER: Final = 1 << 21
_LOOP: Final = (
    ("receive", "receive: read the socket, take packets apart"),
    ("decode", "decode: topic, JSON, records"),
    ("ledger", "account in memory"),
    ("snapshot", "snapshot: apply and swap"),
    ("acknowledge", "acknowledge"),
)
_IN_STORE: Final = (
    ("store: place", "place: new, duplicate or conflict"),
    ("store: text", "readings as VALUES text"),
    ("store: INSERT readings", "INSERT readings, at the driver"),
    ("store: other statements", "other statements, at the driver"),
    ("store: COMMIT", "COMMIT"),
    ("store: begin, ping, rollback", "begin, ping, rollback"),
)


def run(options: Options) -> list[Table]:
    """The stages of a batch, of few devices that each send many messages and of many that send one each."""
    heap.settle()  # as the worker does
    rounds = 3 if options.quick else 30
    with parts.database_server() as server, parts.directory() as path:
        return [
            measure(
                server.fresh_database(),
                f"sqlite:///{path}/{fleet}.db",
                size=200 if options.quick else size,
                rounds=rounds,
                fleet=fleet,
            )
            for fleet, size in _FLEETS
        ]


def measure(mariadb_url: str, sqlite_url: str, *, size: int, rounds: int, fleet: int) -> Table:
    """The table of stages, from `rounds` batches of `size` messages of `fleet` devices, into two empty databases."""
    times, start = Times(size), telemetry.just_now()
    with ExitStack() as stack:
        mariadb = stack.enter_context(_Store.on(mariadb_url))
        sqlite = stack.enter_context(_Store.on(sqlite_url))
        broker = stack.enter_context(_Feeder())
        warm_up = 1 + -(-fleet // size)
        for number in range(warm_up + rounds):
            if number == warm_up:
                times.forget()  # the first ones make the series and warm everything up
            sent = list(telemetry.messages(size, fleet, start, first=number * size))
            _one_batch(times, sent, broker, mariadb, sqlite)
    return _table(times, rounds, fleet)


@dataclass(slots=True)
class Times:
    """Seconds of wall time and of this thread's CPU by stage, one entry a batch."""

    size: int
    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, stage: str, work: Callable[[], T]) -> T:
        """Do `work` and note what it took."""
        cpu, wall = time.thread_time(), time.perf_counter()
        result = work()
        self.note(stage, time.perf_counter() - wall, time.thread_time() - cpu)
        return result

    def note(self, stage: str, wall: float, cpu: float) -> None:
        """One batch's times."""
        self.wall.setdefault(stage, []).append(wall)
        self.cpu.setdefault(stage, []).append(cpu)

    def forget(self) -> None:
        """Begin anew."""
        self.wall.clear()
        self.cpu.clear()

    def us(self, stage: str) -> tuple[float, float]:
        """Microseconds a message, wall and CPU: the median batch."""
        return 1e6 * median(self.wall[stage]) / self.size, 1e6 * median(self.cpu[stage]) / self.size


def _one_batch(
    times: Times, sent: Sequence[tuple[str, bytes]], broker: _Feeder, mariadb: _Store, sqlite: _Store
) -> None:
    size = len(sent)
    broker.send(sent)
    received: list[Message] = times.measure("receive", lambda: broker.receive(size))
    decoded = times.measure("decode", lambda: _decode(received))
    ledger = Ledger()
    outcome = mariadb.store(times, decoded)
    sqlite.store_whole(times, decoded)
    times.measure("ledger", lambda: _account(ledger, decoded, outcome))
    times.measure("snapshot", lambda: mariadb.show(outcome))
    times.measure("acknowledge", lambda: broker.subscriber.acknowledge(received))


def _decode(messages: Sequence[Message]) -> list[Decoded]:
    found = (native.decode(message, "iot", _LARGEST) for message in messages)
    return [decoded for decoded in found if decoded is not None]


def _account(ledger: Ledger, decoded: Sequence[Decoded], outcome: Outcome) -> None:
    ledger.hold(len(decoded), count_readings(decoded))
    now = now_ms()
    ledger.settle(outcome.tally, now, now)


def _table(times: Times, rounds: int, fleet: int) -> Table:
    rows = [_row(label, *times.us(stage)) for stage, label in _LOOP[:2]]
    rows.append(_row("store in MariaDB, one transaction", *times.us("store")))
    rest_wall, rest_cpu = times.us("store")
    for stage, label in _IN_STORE:
        wall, cpu = times.us(stage)
        rest_wall, rest_cpu = rest_wall - wall, rest_cpu - cpu
        rows.append(_row(f"- {label}", wall, cpu))
    rows.append(_row("- the rest of storing", rest_wall, rest_cpu))
    rows += [_row(label, *times.us(stage)) for stage, label in _LOOP[2:]]
    whole = [times.us(stage) for stage in ("receive", "decode", "store", "ledger", "snapshot", "acknowledge")]
    wall, cpu = sum(one[0] for one in whole), sum(one[1] for one in whole)
    rows.append(_row("all of it", wall, cpu))
    rows.append(("which allows, messages/s", f"{1e6 / wall:,.0f}", f"{1e6 / cpu:,.0f}"))
    rows.append(_row("store in SQLite instead, one transaction", *times.us("store, SQLite")))
    return Table(
        f"Where the microseconds go: {fleet:,} devices",
        ("stage", "µs a message", "of it CPU of the worker"),
        tuple(rows),
        (
            f"Medians of {rounds} batches of {times.size:,} messages of {fleet:,} devices, two metrics each, each "
            "stage by itself: broker and database rest while the worker works, so a backlog at full speed costs more.",
        ),
    )


def _row(label: str, wall: float, cpu: float) -> tuple[str, str, str]:
    return label, f"{wall:.2f}", f"{cpu:.2f}"


# The database


class _Store:
    """A writer on a database of its own."""

    def __init__(self, url: str) -> None:
        self.engine = database.create(url)
        migrations.apply(self.engine)
        self.board = Board(Snapshot(now_ms(), 0, {}))
        self._writer = Writer(self.engine, "stages", "token")
        self._writer.load()

    @classmethod
    @contextmanager
    def on(cls, url: str) -> Iterator[Self]:
        """Opened, and its connections given back."""
        store = cls(url)
        try:
            yield store
        finally:
            store.engine.dispose()

    def store(self, times: Times, decoded: Sequence[Decoded]) -> Outcome:
        """Store on MariaDB, telling the driver's calls from our own work."""
        with _DriverWatch() as driver:
            outcome: Outcome = times.measure("store", lambda: self._writer.store(decoded, now_ms()))
        for stage in ("INSERT readings", "other statements", "COMMIT", "begin, ping, rollback"):
            times.note(f"store: {stage}", *driver.found.get(stage, (0.0, 0.0)))
        ids = self._ids()
        placed = times.measure("store: place", lambda: place(decoded, ids, {}, lambda _device, _metric: None, None))
        with _DriverWatch(pass_on=False) as away, database.writing(self.engine) as connection:
            times.measure("store: text", lambda: readings.insert_new(connection, placed.rows))
        wall, cpu = away.found.get("INSERT readings", (0.0, 0.0))
        times.wall["store: text"][-1] -= wall
        times.cpu["store: text"][-1] -= cpu
        return outcome

    def store_whole(self, times: Times, decoded: Sequence[Decoded]) -> None:
        """Store, timed as one."""
        times.measure("store, SQLite", lambda: self._writer.store(decoded, now_ms()))

    def show(self, outcome: Outcome) -> None:
        """Put it into the snapshot."""
        self.board.swap(apply(self.board.current, outcome.changes))

    def _ids(self) -> Ids:
        with database.reading(self.engine) as connection:
            known = {device.name: device.id for device in devices.every(connection)}
            series: dict[int, dict[str, int]] = {}
            for one in devices.every_series(connection):
                series.setdefault(known[one.device], {})[one.metric] = one.id
        return Ids(known, series)


class _DriverWatch:
    """While it is open, times what pymysql is asked, by kind of statement: (wall, CPU) in seconds.

    With `pass_on` False statements are answered here, with nothing done.
    """

    _METHODS: Final = ("query", "commit", "rollback", "begin", "ping")

    def __init__(self, *, pass_on: bool = True) -> None:
        self.found: dict[str, tuple[float, float]] = {}
        self._pass_on = pass_on
        self._originals: dict[str, Any] = {}

    def __enter__(self) -> Self:
        for name in self._METHODS:
            self._originals[name] = original = getattr(pymysql.connections.Connection, name)
            setattr(pymysql.connections.Connection, name, self._timed(name, original))
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self._originals.items():
            setattr(pymysql.connections.Connection, name, original)

    def _timed(self, name: str, original: Any) -> Any:
        def call(connection: Any, *arguments: Any, **options: Any) -> Any:
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                if name == "query" and not self._pass_on:
                    return original(connection, "DO 0")
                return original(connection, *arguments, **options)
            finally:
                stage = _stage(name, arguments)
                known = self.found.get(stage, (0.0, 0.0))
                self.found[stage] = (
                    known[0] + time.perf_counter() - wall,
                    known[1] + time.thread_time() - cpu,
                )

        return call


def _stage(method: str, arguments: Sequence[Any]) -> str:
    if method == "commit":
        return "COMMIT"
    if method != "query":
        return "begin, ping, rollback"
    text = arguments[0] if arguments else ""
    start = text[:80].decode(errors="replace") if isinstance(text, bytes) else str(text)[:80]
    return "INSERT readings" if "INTO readings" in start else "other statements"


# The broker


class _Feeder:
    """The broker's side of one connection: what is to be received lies ready in the socket's buffer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._packet_id = 0
        self.subscriber = Mqtt5Subscriber(
            SubscriberSettings(MqttAddress("127.0.0.1", self._listener.getsockname()[1]), "stages", ("iot/#",))
        )

    def __enter__(self) -> Self:
        greeter = threading.Thread(target=self._greet, name="feeder")
        greeter.start()
        self.subscriber.connect()
        greeter.join()
        return self

    def __exit__(self, *_: object) -> None:
        self.subscriber.release()
        self._connection.close()
        self._listener.close()

    def _greet(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.recv(65_536)
        self._connection.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK: success, no properties
        self._connection.recv(65_536)
        self._connection.sendall(b"\x90\x04\x00\x01\x00\x01")  # SUBACK: packet 1, QoS 1
        self._connection.setblocking(False)

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Put messages where the subscriber will find them, and take its acknowledgements away."""
        packets = []
        for topic, payload in messages:
            self._packet_id = self._packet_id % 65_535 + 1
            packets.append(
                mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=self._packet_id).write()
            )
        with contextlib.suppress(BlockingIOError):
            self._connection.recv(_BUFFER)
        self._connection.settimeout(5)
        self._connection.sendall(b"".join(packets))
        self._connection.setblocking(False)

    def receive(self, size: int) -> list[Message]:
        """All of them, in as many reads as the subscriber takes."""
        found: list[Message] = []
        while len(found) < size:
            found += self.subscriber.receive(1.0)
        return found
