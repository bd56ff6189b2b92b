"""Its threads: stopped in time, drained, started again after an error nobody foresaw."""

from __future__ import annotations

import gc
import json
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from db import account, migrations
from db.account import BatchKey, Tally
from db.engine import reading, writing
from ingest import upkeep
from ingest.message import Message
from ingest.subscriber import Mqtt5Subscriber, SubscriberSettings
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import Worker
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher


class Stumbles(Mqtt5Subscriber):
    """Raises what nobody foresaw, once for each of two messages."""

    def __init__(self, settings: SubscriberSettings) -> None:
        super().__init__(settings)
        self._stones = [b'"v": 50', b'"v": 150']

    def stumble(self, messages: Sequence[Message]) -> None:
        for stone in self._stones:
            if any(stone in message.payload for message in messages):
                self._stones.remove(stone)
                raise ZeroDivisionError("on purpose")


class FailsToAcknowledge(Stumbles):
    """Between the commit and its acknowledgement."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self.stumble(messages)
        super().acknowledge(messages)


class FailsToReceive(Stumbles):
    """With messages in its hands that were not stored yet."""

    def receive(self, timeout_s: float) -> list[Message]:
        messages = super().receive(timeout_s)
        self.stumble(messages)
        return messages


@pytest.mark.parametrize("subscriber", [FailsToAcknowledge, FailsToReceive])
def test_a_thread_that_dies_begins_again_and_nothing_is_lost(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
    subscriber: type[Mqtt5Subscriber],
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    worker.start()
    eventually(lambda: worker.health.broker.state == "connected")
    with Publisher(mosquitto.port) as device:
        for start in range(0, 200, 20):
            device.publish(
                (f"{topic_root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n}))
                for n in range(start, start + 20)
            )
    eventually(lambda: worker.health.threads[0].restarts == 2 and worker.health.can_store)
    eventually(lambda: len(worker.held().rows) >= 200)
    tally = worker.check_account()
    assert sorted(worker.held().values("d")) == [float(n) for n in range(200)]
    assert (tally.stored, tally.rejected) == (200, 0)
    ingest, latest, upkeep = worker.health.threads
    assert (latest.name, latest.restarts) == ("latest", 0)
    assert (ingest.name, ingest.alive, ingest.problem) == ("ingest", True, None)
    assert (upkeep.name, upkeep.restarts) == ("upkeep", 0)
    died = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(died) == 2
    assert all("Thread ingest failed; it begins again in" in record.getMessage() for record in died)
    caplog.clear()  # else the fixture would object


def test_a_thread_that_is_dead_for_now_is_shown(
    tmp_path: Path,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Hopeless(Mqtt5Subscriber):
        def connect(self) -> None:
            raise ZeroDivisionError("on purpose")

    worker = make_worker(f"sqlite:///{tmp_path}/monitor.db", mosquitto.url, topic_root, subscriber=Hopeless)
    worker.start()
    thread = eventually(lambda: next((t for t in worker.health.threads if t.problem), None))
    assert thread is not None
    assert (thread.name, thread.alive, thread.problem) == ("ingest", False, "ZeroDivisionError: on purpose")
    assert not worker.health.can_store
    worker.stop()
    caplog.clear()


def test_an_idle_worker_ends_within_a_second(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, flush_s=30, heartbeat_s=30)
    worker.start()
    worker.connected()
    worker.service.stop(timeout_s=1.0)
    assert not any(thread.alive for thread in worker.health.threads)
    assert worker.health.broker.state == "stopped"
    assert [r.getMessage() for r in caplog.records if r.levelname != "INFO"] == []


def test_a_worker_that_waits_for_everything_ends_within_a_second(
    topic_root: str, own_mariadb: MariaDB, own_mosquitto: Mosquitto, make_worker: MakeWorker
) -> None:
    url = own_mariadb.fresh_database()
    own_mariadb.kill()
    own_mosquitto.kill()
    worker = make_worker(url, own_mosquitto.url, topic_root)
    worker.start()
    eventually(lambda: worker.health.database.problem)
    worker.service.stop(timeout_s=1.0)
    assert not any(thread.alive for thread in worker.health.threads)


def test_a_stop_with_a_frozen_database_does_not_wait_for_it(
    topic_root: str,
    own_mariadb: MariaDB,
    mosquitto: Mosquitto,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = own_mariadb.fresh_database()
    worker = make_worker(url, mosquitto.url, topic_root, timeout_s=60, flush_s=60, heartbeat_s=60)
    worker.start()
    worker.connected()
    # After this first one there is no flush or sign of life that could meet the frozen database before the batch does.
    mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
    eventually(worker.flushed)
    mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 2}')
    worker.wait_for(2)
    own_mariadb.freeze()
    mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 3}')
    eventually(lambda: worker.health.account.messages.waiting == 1)
    worker.service.stop(timeout_s=0.5)
    assert any("did not end within 0.5 s; what it holds comes again" in r.getMessage() for r in caplog.records)
    own_mariadb.thaw()
    eventually(lambda: not any(thread.alive for thread in worker.health.threads))
    worker.subscriber.release()


def test_a_stop_just_after_the_database_froze_does_not_wait_for_it(
    topic_root: str, own_mariadb: MariaDB, mosquitto: Mosquitto, make_worker: MakeWorker
) -> None:
    url = own_mariadb.fresh_database()
    worker = make_worker(url, mosquitto.url, topic_root, timeout_s=60, flush_s=60, heartbeat_s=60)
    worker.start()
    worker.connected()
    mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
    eventually(worker.flushed)
    # No thread touches the database now, and none has noticed.
    own_mariadb.freeze()
    stopper = threading.Thread(target=worker.service.stop, args=(0.0, 0.5), name="stopper")
    stopper.start()
    stopper.join(5)
    assert not stopper.is_alive()
    own_mariadb.thaw()
    eventually(lambda: not any(thread.alive for thread in worker.health.threads))
    worker.subscriber.release()


def test_what_the_broker_still_has_is_drained(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish((f"{topic_root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in range(400))
        worker.stop(drain_s=4)
    assert sorted(worker.held().values("d")) == [float(n) for n in range(400)]
    assert worker.check_account().stored == 400


def test_the_worker_says_who_it_is_and_that_it_left(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    eventually(lambda: (row := worker.row()) and row.heartbeat.broker_state == "connected" and not row.stopped)
    worker.stop()
    row = worker.row()
    assert row is not None
    assert (row.stopped, row.heartbeat.broker_state, row.heartbeat.waiting) == (True, "stopped", 0)


def unfolded(worker: Worker) -> int:
    with reading(worker.database) as connection:
        return int(connection.scalar(text("SELECT COUNT(*) FROM batches")) or 0)


def test_an_end_does_not_wait_for_a_long_fold_and_the_next_start_goes_on_with_it(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = make_worker(database_url, mosquitto.url, topic_root, heartbeat_s=60)
    migrations.apply(first.database)
    with writing(first.database) as connection:
        for number in range(600):  # as many as one transaction folds, and more
            assert account.claim_batch(connection, BatchKey(first.name, "before", number), Tally(stored=1), [], 1)
    monkeypatch.setattr(upkeep, "_FAREWELL_S", 0.0)
    first.start()
    first.connected()
    first.stop()
    assert unfolded(first) == 600
    second = make_worker(database_url, mosquitto.url, topic_root)
    second.start()
    eventually(lambda: unfolded(second) == 0)
    assert second.health.account.messages.stored == 600
    assert second.agreed().tally.stored == 600


def test_one_that_never_started_gives_back_its_sockets(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/monitor.db"
    worker = Worker(url, "mqtt://127.0.0.1:1", "iot", group="g", watch=True, commands=True)

    worker.stop()

    worker.database.dispose()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del worker
        gc.collect()
    assert [str(one.message) for one in caught] == []
