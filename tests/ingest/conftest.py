"""Workers that are stopped with their test, and that may not have died unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db import engine
from ingest.follower import Follower, FollowerSettings
from ingest.paho_subscriber import PahoSubscriber
from ingest.patience import Backoff
from ingest.snapshot import Board, Snapshot
from ingest.subscriber import Mqtt5Subscriber
from ingest.vitals import Vitals, now_ms
from tests.ingest import command_desk, http_desk
from tests.ingest.worker import KEY, Worker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

MakeWorker = Callable[..., Worker]
MakeDesk = Callable[..., http_desk.Desk]
AnySubscriber = type[Mqtt5Subscriber] | type[PahoSubscriber]


@pytest.fixture(params=[Mqtt5Subscriber, PahoSubscriber], ids=["mqtt5", "mqtt3"])
def subscriber(request: pytest.FixtureRequest) -> AnySubscriber:
    """A test that asks for it runs once with each version of MQTT."""
    kind: AnySubscriber = request.param
    return kind


@pytest.fixture
def impatient_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new SQLite database whose users say soon that another holds its lock: its URL."""
    monkeypatch.setattr(engine, "SQLITE_BUSY_S", 0.1)
    return f"sqlite:///{tmp_path}/monitor.db"


@pytest.fixture
def make_worker(caplog: pytest.LogCaptureFixture) -> Iterator[MakeWorker]:
    """Makes workers, not started; stops them at the end. Ask for it after the parts that they use."""
    caplog.set_level("INFO")
    made: list[Worker] = []

    def make(*arguments: Any, **options: Any) -> Worker:
        made.append(Worker(*arguments, **options))
        return made[-1]

    yield make
    for worker in made:
        worker.stop()
        worker.database.dispose()
    failures = [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"]
    unforeseen = [line for line in failures if "begins again" in line and "on purpose" not in line]
    assert not unforeseen


@pytest.fixture
def make_desk(caplog: pytest.LogCaptureFixture) -> Iterator[MakeDesk]:
    """Makes and starts what takes readings from HTTP; stops it at the end. Ask for it after the parts that it uses."""
    caplog.set_level("INFO")
    made: list[http_desk.Desk] = []

    def make(*arguments: Any, opened: bool = True, **options: Any) -> http_desk.Desk:
        made.append(http_desk.Desk(*arguments, **options))
        made[-1].start()
        if opened:
            made[-1].open()
        return made[-1]

    yield make
    for desk in made:
        desk.stop()
        assert not any(thread.alive for thread in desk.vitals.threads)
        desk.engine.dispose()
    assert "begins again" not in caplog.text


@pytest.fixture
def desk(database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> command_desk.Desk:
    """A worker that sends commands, as the keeper, and who asks for them."""
    worker = make_worker(database_url, mosquitto.url, topic_root, commands=True)
    worker.start()
    worker.connected()
    eventually(lambda: worker.health.keeper)
    return command_desk.Desk(worker)


@pytest.fixture
def follower(database_url: str) -> Iterator[tuple[Follower, Board]]:
    """A server without a worker, and its board. It makes the tables, if nobody has."""
    board = Board(Snapshot(now_ms(), 0, {}))
    database = engine.create(database_url)
    vitals = Vitals("mqtt://elsewhere", "the database", embedded=False)
    settings = FollowerSettings(0.1, 0.2, Backoff(0.02, 0.2), commands_s=0.02, audit_key=KEY)
    follower = Follower(database, settings, board, vitals)
    follower.start()
    yield follower, board
    follower.stop(timeout_s=1.0)
    database.dispose()
