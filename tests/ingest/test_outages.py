"""Brokers and databases that come late, die, freeze and come back: nothing stops, nothing is lost or doubled by us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.ingest.conftest import AnySubscriber, MakeWorker
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.proxy import LossyProxy
from tests.parts.publisher import Publication, Publisher
from tests.parts.tap import Tap

TS = 1_764_000_000_000


def readings(root: str, numbers: range) -> Iterator[Publication]:
    return ((f"{root}/d/telemetry", json.dumps({"ts": TS + n, "seq": n, "boot": "a", "v": n})) for n in numbers)


def without_ts(root: str, numbers: range) -> Iterator[Publication]:
    return ((f"{root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in numbers)


def lines(caplog: pytest.LogCaptureFixture, words: str, level: str = "WARNING") -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == level and words in r.getMessage()]


@pytest.fixture
def late_mosquitto(part_directory: Path) -> Iterator[Mosquitto]:
    """A broker that is not started yet."""
    broker = Mosquitto(part_directory)
    yield broker
    if broker.process.running:
        broker.stop()


def test_a_broker_that_comes_late_is_waited_for(
    database_url: str,
    late_mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_worker(database_url, late_mosquitto.url, topic_root)
    worker.start()
    broker = eventually(lambda: worker.health.broker if worker.health.broker.problem else None)
    assert broker is not None
    assert (broker.state, broker.problem) == ("connecting", "Connection refused")
    assert not worker.health.can_store
    late_mosquitto.start()
    worker.connected()
    late_mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
    worker.wait_for(1)
    (line,) = lines(caplog, "")
    address = f"mqtt://127.0.0.1:{late_mosquitto.port}"
    assert line == f"The broker at {address} is away: Connection refused. Trying again until it answers."
    assert len(lines(caplog, "Connected to the broker", "INFO")) == 1


def test_a_broker_that_is_killed_and_restarted(
    database_url: str,
    own_mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    subscriber: AnySubscriber,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_worker(database_url, own_mosquitto.url, topic_root, subscriber=subscriber)
    worker.start()
    worker.connected()
    with Publisher(own_mosquitto.port) as device:
        device.publish(readings(topic_root, range(100)))
    worker.wait_for(100)
    own_mosquitto.kill()
    eventually(lambda: worker.health.broker.problem == "Connection refused")
    own_mosquitto.start()
    worker.connected()
    with Publisher(own_mosquitto.port) as device:
        device.publish(readings(topic_root, range(100, 200)))
    worker.wait_for(200)
    assert worker.held().values("d") == [float(n) for n in range(200)]
    assert worker.check_account().readings_stored == 200
    assert len(lines(caplog, "The broker at")) == 1


def test_a_broker_that_freezes_is_noticed_by_its_silence(
    own_mosquitto: Mosquitto, topic_root: str, tmp_path: Path, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    worker = make_worker(
        f"sqlite:///{tmp_path}/monitor.db", own_mosquitto.url, topic_root, keep_alive_s=1, subscriber=subscriber
    )
    worker.start()
    worker.connected()
    own_mosquitto.process.freeze()
    eventually(lambda: worker.health.broker.problem == "it does not answer any more")
    own_mosquitto.process.thaw()
    worker.connected()
    own_mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
    worker.wait_for(1)


def test_an_idle_connection_is_kept_by_pings(
    mosquitto: Mosquitto, topic_root: str, tmp_path: Path, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    with Tap(mosquitto.port) as tap:
        url, broker = f"sqlite:///{tmp_path}/monitor.db", f"mqtt://127.0.0.1:{tap.port}"
        worker = make_worker(url, broker, topic_root, keep_alive_s=3, subscriber=subscriber)
        worker.start()
        worker.connected()
        since = worker.health.broker.since
        eventually(lambda: tap.answered_pings() >= 3, what="three pings, one for each third of the keep-alive")
        assert (worker.health.broker.state, worker.health.broker.since) == ("connected", since)
        worker.stop()


def test_a_database_that_comes_late_is_waited_for(
    own_mariadb: MariaDB,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = own_mariadb.fresh_database()
    own_mariadb.kill()
    worker = make_worker(url, mosquitto.url, topic_root)
    worker.start()
    eventually(lambda: worker.health.database.problem)
    own_mariadb.start()
    worker.connected()
    mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
    worker.wait_for(1)
    (line,) = lines(caplog, "")
    assert line.startswith(f"Waiting for the database at mysql+pymysql://monitor:***@127.0.0.1:{own_mariadb.port}/")
    assert "refused" in line
    assert "monitor-password" not in caplog.text


def test_a_database_that_is_killed_while_messages_flow(
    own_mariadb: MariaDB,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_worker(own_mariadb.fresh_database(), mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish(without_ts(topic_root, range(150)))
        own_mariadb.kill()
        device.publish(without_ts(topic_root, range(150, 300)))
        eventually(lambda: worker.health.account.messages.waiting > 0 and not worker.health.can_store)
        own_mariadb.start()
        device.publish(without_ts(topic_root, range(300, 400)))
    worker.wait_for(400)
    tally = worker.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (400, 0, 0)
    assert sorted(worker.held().values("d")) == [float(n) for n in range(400)]
    assert len(lines(caplog, "Waiting for the database")) == 1
    assert lines(caplog, "The broker at") == [], "the broker's connection is kept meanwhile"


def test_a_database_that_freezes_and_thaws(
    own_mariadb: MariaDB, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(own_mariadb.fresh_database(), mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish(without_ts(topic_root, range(50)))
        worker.wait_for(50)
        own_mariadb.freeze()
        device.publish(without_ts(topic_root, range(50, 100)))
        eventually(lambda: worker.health.database.problem)
        own_mariadb.thaw()
    worker.wait_for(100)
    tally = worker.check_account()
    assert (tally.stored, tally.duplicate) == (100, 0)
    assert sorted(worker.held().values("d")) == [float(n) for n in range(100)]


def test_a_commit_whose_answer_is_lost_counts_once(
    mariadb: MariaDB, mariadb_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    with LossyProxy(mariadb.port) as proxy:
        url = make_url(mariadb_url).set(port=proxy.port).render_as_string(hide_password=False)
        worker = make_worker(url, mosquitto.url, topic_root, heartbeat_s=60, flush_s=60)
        worker.start()
        worker.connected()
        mosquitto.publish(f"{topic_root}/d/telemetry", json.dumps({"v": 0}))
        # From here on only batches commit: no sign of life and no flush comes between.
        eventually(worker.flushed)
        worker.wait_for(1)
        for number in range(1, 4):
            proxy.lost.clear()
            proxy.lose_next_commit()
            # No sequence number and no time: nothing but the batch's own row can tell that it was stored.
            mosquitto.publish(f"{topic_root}/d/telemetry", json.dumps({"v": number}))
            assert proxy.lost.wait(5)
            worker.wait_for(number + 1)
        tally = worker.check_account()
        assert (tally.stored, tally.duplicate, tally.readings_stored) == (4, 0, 4)
        assert worker.held().values("d") == [0.0, 1.0, 2.0, 3.0]
        worker.stop()


def test_a_database_that_is_locked_is_waited_for_and_the_brokers_connection_kept(
    impatient_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    subscriber: AnySubscriber,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Tap(mosquitto.port) as tap:
        broker = f"mqtt://127.0.0.1:{tap.port}"
        worker = make_worker(impatient_url, broker, topic_root, keep_alive_s=1, subscriber=subscriber)
        worker.start()
        worker.connected()
        since = worker.health.broker.since
        with locked(impatient_url):
            mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
            eventually(lambda: worker.health.account.messages.waiting == 1 and worker.health.database.problem)
            assert "locked" in (worker.health.database.problem or "")
            assert worker.health.account.messages.received == 1
            before = tap.answered_pings()
            eventually(lambda: tap.answered_pings() >= before + 3, what="signs of life while nothing can be stored")
        worker.wait_for(1)
        assert worker.check_account().stored == 1
        assert worker.held().values("d") == [1.0]
        assert worker.health.broker.since == since
        worker.stop()
    assert lines(caplog, "The broker at") == []
