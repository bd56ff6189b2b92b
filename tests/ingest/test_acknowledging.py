"""Nothing is acknowledged to the broker before the database has committed it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from db import engine
from tests.ingest.conftest import AnySubscriber, MakeWorker
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher


@contextmanager
def unacknowledged(port: int, client_id: str) -> Iterator[list[paho.MQTTMessage]]:
    """What the broker still owes this client: its session, taken over without acknowledging anything."""
    owed: list[paho.MQTTMessage] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True)
    client.on_message = lambda _client, _data, message: owed.append(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    yield owed
    client.disconnect()
    client.loop_stop()


def test_what_is_not_committed_is_not_acknowledged(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    subscriber: AnySubscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "SQLITE_BUSY_S", 0.2)
    worker = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/telemetry", '{"seq": 0, "boot": "a", "v": 0}')])
        worker.wait_for(1)
        with locked(database_url):
            device.publish(
                (f"{topic_root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in range(1, 101)
            )
            eventually(lambda: worker.health.account.messages.waiting > 0 and worker.health.database.problem)
            worker.stop()
            with unacknowledged(mosquitto.port, worker.name) as owed:
                eventually(lambda: len(owed) >= 100)
                assert [json.loads(message.payload)["v"] for message in owed] == [*range(1, 101)]
                assert any(message.dup for message in owed), "the worker had some of them in hand"
    again = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    again.start()
    again.wait_for(101)
    tally = again.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (101, 0, 0)
    assert sorted(again.held().values("d")) == [float(n) for n in range(101)]


def test_what_is_committed_is_acknowledged(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish(
            [
                *((f"{topic_root}/d/telemetry", json.dumps({"v": n})) for n in range(50)),
                (f"{topic_root}/d/telemetry", "not JSON"),
                (f"{topic_root}/d/led/set", "ON"),
                (f"{topic_root}/no/such/topic", "1"),
            ]
        )
        worker.wait_for(52)
    worker.stop()
    with unacknowledged(mosquitto.port, worker.name) as owed:
        mosquitto.publish(f"{topic_root}/d/telemetry", "the first that is owed")
        eventually(lambda: owed)
        assert [message.payload for message in owed] == [b"the first that is owed"]
