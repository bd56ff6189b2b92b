"""What waits at the broker is shown while the database is away, and gone when it is back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from ingest.vitals import now_ms
from tests.ingest.conftest import MakeWorker
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher


def readings(root: str, count: int, ts: int = 0) -> Iterator[Publication]:
    stamp = {"ts": ts} if ts else {}
    return ((f"{root}/d{n}/telemetry", json.dumps({"seq": n, "boot": "a", "v": n} | stamp)) for n in range(count))


@pytest.fixture
def telling(part_directory: Path) -> Iterator[Mosquitto]:
    """A broker that tells its figures each second."""
    with Mosquitto(part_directory, extra=["sys_interval 1"]) as broker:
        yield broker


def test_the_backlog_is_shown_while_the_database_is_frozen_and_gone_after(
    own_mariadb: MariaDB, telling: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(own_mariadb.fresh_database(), telling.url, topic_root, watch=True)
    worker.start()
    worker.connected()
    eventually(lambda: worker.health.broker.backlog == 0, what="an empty queue")
    eventually(lambda: (worker.health.broker.catch_up_ms, worker.health.broker.dropped) == (0, 0))
    eventually(lambda: (worker.health.broker.version or "").startswith("mosquitto version 2"))
    own_mariadb.freeze()
    with Publisher(telling.port) as device:
        device.publish(readings(topic_root, 300))
    # Those in hand are not acknowledged, so they wait too.
    eventually(lambda: worker.health.broker.backlog == 300, what="the backlog")
    eventually(lambda: worker.health.broker.catch_up_ms is None, what="that nothing is catching up")
    own_mariadb.thaw()
    worker.wait_for(300)
    eventually(lambda: worker.health.broker.backlog == 0, what="an empty queue again")
    eventually(lambda: worker.health.broker.catch_up_ms == 0)
    assert worker.check_account().stored == 300, "what the broker tells is no message of a device"


def test_what_the_broker_drops_is_told(
    part_directory: Path, tmp_path: Path, topic_root: str, make_worker: MakeWorker
) -> None:
    with Mosquitto(part_directory, extra=["sys_interval 1", "max_queued_messages 10"]) as broker:
        url = f"sqlite:///{tmp_path}/monitor.db"
        worker = make_worker(url, broker.url, topic_root)
        worker.start()
        worker.connected()
        worker.stop()
        with Publisher(broker.port) as device:
            device.publish(readings(topic_root, 100))
        again = make_worker(url, broker.url, topic_root, watch=True)
        again.start()
        again.connected()
        dropped = eventually(lambda: again.health.broker.dropped, what="what was dropped")
        again.wait_for(1)
        assert dropped == 100 - again.check_account().stored
        again.stop()


def test_a_broker_that_tells_nothing_is_fine(
    tmp_path: Path, topic_root: str, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    embedded = EmbeddedBroker.start(tmp_path, port=0)
    worker = make_worker(f"sqlite:///{tmp_path}/monitor.db", embedded.mqtt5_url, topic_root, watch=True)
    worker.start()
    worker.connected()

    def said() -> list[str]:
        return [r.getMessage() for r in caplog.records if "How much waits at the broker is not known" in r.getMessage()]

    eventually(said)
    embedded.restart()
    worker.connected()
    with Publisher(int(embedded.mqtt_url.rsplit(":", 1)[1])) as device:
        device.publish(readings(topic_root, 5))
    worker.wait_for(5)
    assert len(said()) == 1
    assert (worker.health.broker.backlog, worker.health.broker.catch_up_ms) == (None, None)
    assert worker.health.can_store
    worker.stop()
    assert not any(thread.alive for thread in worker.health.threads)
    embedded.stop()


def test_the_lag_grows_while_the_database_is_locked(
    impatient_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(impatient_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        with locked(impatient_url):
            device.publish(readings(topic_root, 1))
            eventually(lambda: (worker.health.rates.lag_ms or 0) > 1_000, what="a lag without any time of a device")
        worker.wait_for(1)
        eventually(lambda: worker.health.rates.lag_ms is None, what="no lag: it had no time of its own")
        device.publish(readings(topic_root, 1, now_ms() - 60_000))
        worker.wait_for(2)
    lag = worker.health.rates.lag_ms or 0
    assert lag >= 60_000
    eventually(lambda: (row := worker.row()) is not None and row.heartbeat.lag_ms == lag, what="the lag in its row")
