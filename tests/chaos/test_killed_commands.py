"""Commands to many devices while the worker that sends them is killed, and started again or followed by another."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from db import commands, devices, engine, leases, migrations
from db.engine import Engine, reading, write, writing
from db.rights import Actor, Origin
from ingest.vitals import now_ms
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.worker import WorkerProcess

DEVICES = 500
KILLS = 6
DEADLINE_MS = 180_000
_KEY = b"k" * 32
_BY = Actor("anna", "operator", Origin("192.0.2.7"))

pytestmark = pytest.mark.timeout(600)


class Boards:
    """All devices on one connection, which answer each order. Usable as a context manager.

    `told`: how often each id came. A device that remembers ids obeys each once, whatever that is.
    """

    def __init__(self, port: int, root: str) -> None:
        self.told: Counter[str] = Counter()
        self._port, self._root = port, root
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{root}/+/led/set", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._obey

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _obey(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        order = json.loads(message.payload)
        self.told[order["id"]] += 1
        topic = message.topic.removesuffix("set") + "state"
        client.publish(topic, json.dumps({"id": order["id"], "state": order["state"]}), qos=1, retain=True)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    made = engine.create(database_url)
    migrations.apply(made)
    with writing(made) as connection:
        ids = devices.ensure(connection, [f"d{number}" for number in range(DEVICES)], now_ms())
        for device_id in ids.values():
            devices.store_actuator(connection, device_id, devices.ActuatorAbout("led"))
    yield made
    made.dispose()


@pytest.fixture
def workers(
    part_directory: Path, database_url: str, database: Engine, own_mosquitto: Mosquitto, topic_root: str
) -> Iterator[dict[str, WorkerProcess]]:
    """Two that share, by name."""
    made: dict[str, WorkerProcess] = {}
    for name in (f"{topic_root}-a", f"{topic_root}-b"):
        (part_directory / name).mkdir()
        settings = {"DATABASE_URL": database_url, "MQTT_URL": own_mosquitto.url, "MQTT_CLIENT_ID": name}
        settings |= {"TOPIC_ROOT": topic_root, "MQTT_SHARE_GROUP": "g"}
        made[name] = WorkerProcess(part_directory / name, settings)
        made[name].start()
    eventually(lambda: keeper(database))
    yield made
    for worker in made.values():
        if worker.process.running:
            worker.stop()


def keeper(database: Engine) -> leases.Holder | None:
    with reading(database) as connection:
        return leases.holder(connection, leases.KEEPER)


def ask(database: Engine, device: str, order: str) -> str:
    made = write(
        database,
        lambda connection: commands.request(
            connection, _KEY, device, "led", order, by=_BY, at=now_ms(), deadline_ms=DEADLINE_MS
        ),
    )
    return made.id


def statuses(database: Engine, ids: list[str]) -> Counter[str]:
    with reading(database) as connection:
        found = {one.id: one.status for one in commands.recent(connection, limit=DEVICES * KILLS)}
    return Counter(found[one] for one in ids)


def test_every_command_is_confirmed_and_none_goes_out_under_another_id(
    workers: dict[str, WorkerProcess],
    database: Engine,
    own_mosquitto: Mosquitto,
    topic_root: str,
    record_line: list[str],
) -> None:
    ids: list[str] = []
    began = time.monotonic()
    with Boards(own_mosquitto.port, topic_root) as boards:
        for number in range(KILLS):
            order = ("ON", "OFF")[number % 2]
            holder = keeper(database)
            assert holder is not None
            mine: list[str] = []

            def flow(order: str = order, mine: list[str] = mine) -> None:
                mine.extend(ask(database, f"d{device}", order) for device in range(DEVICES))

            asking = threading.Thread(target=flow)
            asking.start()
            eventually(lambda: len(boards.told) > len(ids) + DEVICES // 10, 60)
            workers[holder.worker].kill()
            asking.join()
            if number % 2:  # another has to take over, with the times of production
                eventually(lambda: (now := keeper(database)) and now.token != holder.token, 30)  # noqa: B023
            workers[holder.worker].start()
            ids.extend(mine)
            eventually(lambda: statuses(database, ids) == Counter(confirmed=len(ids)), 90)
    took = time.monotonic() - began
    assert set(boards.told) == set(ids), "nothing was made up, and nothing that was asked for was lost"
    kind = "SQLite" if database.dialect.name == "sqlite" else "MariaDB"
    again = sum(boards.told.values()) - len(ids)
    record_line.append(
        f"{len(ids):,} commands to {DEVICES} devices over {KILLS} `kill -9` of the keeper ({kind}, {took:.0f} s): all "
        f"confirmed; {again} were sent again, with the same id."
    )
