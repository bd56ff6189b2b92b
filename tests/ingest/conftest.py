"""Workers that are stopped with their test, and that may not have died unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db import engine
from ingest.paho_subscriber import PahoSubscriber
from ingest.subscriber import Mqtt5Subscriber
from tests.ingest.http_desk import Desk
from tests.ingest.worker import Worker

MakeWorker = Callable[..., Worker]
MakeDesk = Callable[..., Desk]
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
        if any(thread.alive for thread in worker.health.threads):
            worker.stop()
        worker.database.dispose()
    failures = [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"]
    unforeseen = [line for line in failures if "begins again" in line and "on purpose" not in line]
    assert not unforeseen


@pytest.fixture
def make_desk(caplog: pytest.LogCaptureFixture) -> Iterator[MakeDesk]:
    """Makes and starts what takes readings from HTTP; stops it at the end. Ask for it after the parts that it uses."""
    caplog.set_level("INFO")
    made: list[Desk] = []

    def make(*arguments: Any, opened: bool = True, **options: Any) -> Desk:
        made.append(Desk(*arguments, **options))
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
