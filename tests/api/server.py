"""The API on a runtime of its own: how a test makes one, fills it, and serves it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from api import api
from api.current import the_runtime
from db import commands, devices, engine, migrations, readings
from db.engine import DatabaseFacts
from db.size_watch import SizeWatch
from ingest import restore, standing
from ingest.health import Account, Health, Rates
from ingest.snapshot import Board, Change, Snapshot, apply
from ingest.vitals import Vitals, now_ms
from ingest.worker import make_http_readings
from runtime import Runtime
from settings import Settings, parse_mqtt_url
from tests.parts.doors import make_doors
from tests.parts.ports import free_port


@dataclass(slots=True)
class WatchedBoard(Board):
    """A board that tells when a listener has left."""

    left: threading.Event = field(default_factory=threading.Event)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        stop = Board.listen(self, listener)

        def leave() -> None:
            stop()
            self.left.set()

        return leave


@dataclass(slots=True)
class IdleWorker:
    """A worker that receives nothing: its health is what the test says, else what `vitals` say."""

    vitals: Vitals
    told: Health | None = None
    nudges: int = 0

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self, drain_s: float = 0.0, timeout_s: float = 5.0) -> None:
        """There is nothing to stop."""

    def nudge_commands(self) -> None:
        """There is nobody to send anything."""
        self.nudges += 1

    def health(self) -> Health:
        vitals = self.vitals
        return self.told or Health("thread", 1, vitals.broker, vitals.database, Account(), Rates(), vitals.threads)


@dataclass(frozen=True, slots=True)
class Place:
    """A runtime in which nothing happens by itself: the test decides what its database and board hold."""

    runtime: Runtime
    vitals: Vitals
    board: WatchedBoard
    worker: IdleWorker

    def store(self, device: str, metric: str, rows: Sequence[tuple[int, float]], unit: str | None = None) -> None:
        """Readings (UTC ms, value) of one series, in the database."""
        with engine.writing(self.runtime.engine) as connection:
            device_id = devices.ensure(connection, [device], now_ms())[device]
            series_id = devices.ensure_series(connection, [(device_id, metric)], now_ms())[device_id, metric]
            readings.insert_new(connection, [(series_id, ts, value) for ts, value in rows])
            if unit is not None:
                devices.store_about(connection, device_id, devices.About(device, None, None, (), {metric: unit}), 1)

    def close_reading(self) -> None:
        """As with REQUIRE_LOGIN=all."""
        self.runtime.settings = self.runtime.settings.model_copy(update={"require_login": "all"})

    def restore(self) -> None:
        """The board as the worker fills it from the database at its start."""
        with engine.reading(self.runtime.engine) as connection:
            self.board.swap(restore.snapshot(connection, self.board.current, now_ms()))

    def show_commands(self) -> None:
        """The board as it follows what is stored of commands."""
        with engine.reading(self.runtime.engine) as connection:
            found = commands.recent(connection, limit=1_000)
        self.board.update(lambda current: standing.with_commands(current, reversed(found), 0))

    def change(self, *changes: Change) -> Snapshot:
        """What a batch with these changes does to the board."""
        self.board.swap(apply(self.board.current, changes))
        return self.board.current


@contextmanager
def place(directory: Path, database_url: str) -> Iterator[Place]:
    """A place on this database, all its connections fine."""
    settings = Settings(data_dir=directory)
    database = engine.create(database_url)
    migrations.apply(database)
    board = WatchedBoard(Snapshot(now_ms(), 0, {}))
    vitals = Vitals("mqtt://127.0.0.1:1883", database_url, embedded=False)
    vitals.broker_connected(2000)
    vitals.database_connected(DatabaseFacts("SQLite", "3", None))
    address = parse_mqtt_url("mqtt://127.0.0.1:1883")
    worker = IdleWorker(vitals)
    with (directory / "lock").open("w") as lock:
        doors = make_doors(database, fresh_s=1.0)
        http = make_http_readings(settings, database, board, vitals)
        sizes, stopping = SizeWatch(database), threading.Event()
        runtime = Runtime(settings, database, doors, board, http, sizes, address, stopping, worker, None, lock)
        api.dependency_overrides[the_runtime] = lambda: runtime
        api.middleware_stack = None  # made anew, so that nobody has asked for anything yet
        yield Place(runtime, vitals, board, worker)
        http.stop()
        sizes.close()
        api.dependency_overrides.clear()
    doors.close()
    database.dispose()


def mounted() -> Starlette:
    """The API where app.py mounts it."""
    return Starlette(routes=[Mount("/api", api)])


class _Announced(uvicorn.Server):
    ready: threading.Event

    async def startup(self, sockets: object = None) -> None:
        del sockets
        await super().startup()
        self.ready.set()


class Served:
    """The mounted API, or another application, on a free loopback port, in a thread."""

    def __init__(self, app: Starlette | None = None) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(app or mounted(), "127.0.0.1", port, log_level="warning", lifespan="off", ws="none")
        self._server = _Announced(config)
        self._server.ready = threading.Event()
        self._thread = threading.Thread(target=self._server.run, name="uvicorn", daemon=True)

    def start(self) -> None:
        """Start and wait until it listens."""
        self._thread.start()
        assert self._server.ready.wait(20), "uvicorn did not start within 20 s"

    def stop(self) -> bool:
        """Ask it to end, and whether it did: it waits for open answers."""
        self._server.should_exit = True
        self._thread.join(5)
        return not self._thread.is_alive()


def fields(problem: Mapping[str, object]) -> set[str]:
    """The fields that a problem names."""
    errors = problem["errors"]
    assert isinstance(errors, list)
    return {error["field"] for error in errors}
