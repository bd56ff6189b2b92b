"""The view of a process without a worker (INGEST=off): what workers elsewhere store is here within a second or so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from db import engine, workers
from db.workers import Heartbeat
from ingest.follower import Follower, FollowerSettings
from ingest.patience import Backoff
from ingest.snapshot import Board, DeviceNow, Snapshot
from ingest.vitals import Vitals, now_ms
from tests.ingest.conftest import MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

MakeFollower = Callable[..., Follower]


@pytest.fixture
def board() -> Board:
    return Board(Snapshot(now_ms(), 0, {}))


@pytest.fixture
def follow(board: Board) -> Iterator[MakeFollower]:
    """Starts a follower that shows on the board."""
    made: list[tuple[Follower, engine.Engine]] = []

    def make(database_url: str, kind: type[Follower] = Follower) -> Follower:
        database = engine.create(database_url, timeout_s=1.0)
        vitals = Vitals("mqtt://elsewhere", "the database", embedded=False)
        follower = kind(database, FollowerSettings(0.05, 0.1, Backoff(0.02, 0.2)), board, vitals)
        made.append((follower, database))
        follower.start()
        return follower

    yield make
    for follower, database in made:
        follower.stop(timeout_s=1.0)
        assert not any(thread.alive for thread in follower.health().threads)
        database.dispose()


def device(board: Board, name: str = "d") -> DeviceNow | None:
    return board.current.devices.get(name)


def value(board: Board, metric: str = "v") -> float | None:
    found = device(board)
    series = found.metrics.get(metric) if found is not None else None
    return None if series is None else series.value


def test_values_status_about_and_states_of_a_worker_elsewhere(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    follow: MakeFollower,
    board: Board,
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    follower = follow(database_url)
    about = json.dumps({"model": "m1", "units": {"v": "°C"}, "actuators": ["led"]})
    with Publisher(mosquitto.port) as publisher:
        publisher.publish([(f"{topic_root}/d/telemetry", '{"v": 1}'), (f"{topic_root}/d/status", "online")])
        eventually(lambda: value(board) == 1.0)
        eventually(lambda: (found := device(board)) and found.online)
        publisher.publish(
            [
                (f"{topic_root}/d/about", about),
                (f"{topic_root}/d/led/state", "ON"),
                (f"{topic_root}/d/telemetry", '{"v": 2}'),
            ]
        )
        eventually(lambda: value(board) == 2.0)
        eventually(lambda: (found := device(board)) and found.model == "m1")
        eventually(lambda: (found := device(board)) and found.metrics["v"].unit == "°C")
        eventually(lambda: (found := device(board)) and found.actuators["led"].state == "ON")
        publisher.publish([(f"{topic_root}/d/status", "offline"), (f"{topic_root}/d/led/state", "OFF")])
        eventually(lambda: (found := device(board)) and found.online is False)
        eventually(lambda: (found := device(board)) and found.actuators["led"].state == "OFF")
        publisher.publish([(f"{topic_root}/d/telemetry", '{"v": 3}')])
        eventually(lambda: (found := device(board)) and found.online, what="traffic that proves an offline wrong")
    eventually(
        lambda: (
            follower.health().account == worker.health.account
            and follower.health().dead_letters == worker.health.dead_letters
        )
    )
    assert follower.health().account.messages.stored == 8


def test_health_lists_the_workers_and_judges_the_broker_by_them(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, follow: MakeFollower
) -> None:
    follower = follow(database_url)
    eventually(lambda: follower.health().broker.problem == "no worker is running; start one with: python -m ingest")
    assert follower.health().can_store, "with INGEST=off only the database counts"
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    eventually(lambda: follower.health().broker.state == "connected")
    (listed,) = follower.health().workers
    assert (listed.name, listed.broker_state) == (worker.name, "connected")
    assert listed.heartbeat_age_ms < 5_000
    worker.stop()
    eventually(lambda: follower.health().broker.state == "connecting")
    eventually(lambda: [w.broker_state for w in follower.health().workers] == ["stopped"])


def test_the_lag_is_that_of_the_worker_furthest_behind(database_url: str, follow: MakeFollower) -> None:
    follower = follow(database_url)
    eventually(lambda: follower.health().can_store)
    assert follower.health().rates.lag_ms is None
    database = engine.create(database_url)
    with engine.writing(database) as connection:
        for name, lag in (("a", 50), ("b", 7_000), ("c", None)):
            workers.beat(connection, Heartbeat(name, "token", now_ms(), 0, 0, "connected", lag))
    database.dispose()
    eventually(lambda: follower.health().rates.lag_ms == 7_000)


def test_a_follower_outlives_its_database(
    own_mariadb: MariaDB,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    follow: MakeFollower,
    board: Board,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = own_mariadb.fresh_database()
    worker = make_worker(url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    follower = follow(url)
    with Publisher(mosquitto.port) as publisher:
        publisher.publish([(f"{topic_root}/d/telemetry", '{"v": 1}')])
        eventually(lambda: value(board) == 1.0)
        version = board.current.version
        own_mariadb.kill()
        eventually(lambda: follower.health().database.problem)
        assert value(board) == 1.0, "what is known stays shown"
        own_mariadb.start()
        publisher.publish([(f"{topic_root}/d/telemetry", '{"v": 2}')])
        eventually(lambda: value(board) == 2.0)
    assert board.current.version > version
    waits = [r for r in caplog.records if r.levelname == "WARNING" and "Waiting for the database" in r.getMessage()]
    assert len(waits) == 2, "once by the worker, once by the follower"


class Stumbles(Follower):
    """Raises what nobody foresaw, once."""

    stumbled = False

    def _follow(self) -> None:
        if not self.stumbled:
            self.stumbled = True
            raise ZeroDivisionError("on purpose")
        super()._follow()


def test_a_follower_that_dies_begins_again(
    database_url: str, follow: MakeFollower, caplog: pytest.LogCaptureFixture
) -> None:
    follower = follow(database_url, Stumbles)
    eventually(lambda: follower.health().database.state == "connected")
    (thread,) = follower.health().threads
    assert (thread.alive, thread.restarts, thread.problem) == (True, 1, None)
    assert "Thread follower failed; it begins again in" in caplog.text
