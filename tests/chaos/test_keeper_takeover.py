"""`kill -9` of the keeper among three workers that share, with the times of production: another takes over in 15 s."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import account, devices, engine, leases
from db.leases import Holder
from tests.chaos.conftest import Record
from tests.chaos.verdict import Verdict
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher
from tests.parts.worker import WorkerProcess

TAKEN_OVER_WITHIN_S = 15.0
SIZE = 10_000


def telemetry(root: str, numbers: range) -> Iterator[Publication]:
    return ((f"{root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in numbers)


class Three:
    """Three workers by name, and what their database holds."""

    def __init__(self, directory: Path, database_url: str, broker_url: str, root: str) -> None:
        self.database = engine.create(database_url)
        self.workers: dict[str, WorkerProcess] = {}
        for name in (f"{root}-a", f"{root}-b", f"{root}-c"):
            (directory / name).mkdir()
            settings = {"DATABASE_URL": database_url, "MQTT_URL": broker_url, "MQTT_CLIENT_ID": name}
            settings |= {"TOPIC_ROOT": root, "MQTT_SHARE_GROUP": "g"}
            self.workers[name] = WorkerProcess(directory / name, settings)

    def keeper(self) -> Holder | None:
        with engine.reading(self.database) as connection:
            return leases.holder(connection, leases.KEEPER)

    def online(self) -> bool | None:
        with engine.reading(self.database) as connection:
            return next((device.online for device in devices.every(connection)), None)

    def values(self) -> Counter[int]:
        with engine.reading(self.database) as connection:
            return Counter(int(value) for value in connection.scalars(text("SELECT value FROM readings")))

    def totals(self) -> dict[str, account.Tally]:
        with engine.reading(self.database) as connection:
            return account.totals(connection)

    def stop(self) -> None:
        for worker in self.workers.values():
            if worker.process.running:
                worker.stop()
        self.database.dispose()


@pytest.fixture
def three(part_directory: Path, database_url: str, own_mosquitto: Mosquitto, topic_root: str) -> Iterator[Three]:
    made = Three(part_directory, database_url, own_mosquitto.url, topic_root)
    for worker in made.workers.values():
        worker.start()
    yield made
    made.stop()


@pytest.mark.timeout(240)
def test_a_keeper_that_is_killed_while_messages_flow(
    three: Three, own_mosquitto: Mosquitto, topic_root: str, database_url: str, record: Record
) -> None:
    begun = time.monotonic()
    first = eventually(three.keeper)
    assert first is not None
    sent, kills = 0, 2
    with Publisher(own_mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "online", True)])
        eventually(three.online)
        for number in range(kills):
            before = three.keeper()
            assert before is not None
            chunk = list(telemetry(topic_root, range(sent, sent + SIZE)))
            flow = threading.Thread(target=publish, args=(device, chunk), name="device")
            flow.start()
            eventually(lambda: len(three.values()) > sent, what="messages of this round")  # noqa: B023
            three.workers[before.worker].kill()
            killed_at = time.monotonic()
            flow.join()
            # Retained, and published while nobody takes it: the next keeper has it from the broker.
            device.publish([(f"{topic_root}/d/status", "offline" if number % 2 == 0 else "online", True)])
            eventually(lambda: (now := three.keeper()) and now.token != before.token, 30)  # noqa: B023
            eventually(lambda: three.online() is (number % 2 == 1), 30, what="the status")  # noqa: B023
            assert time.monotonic() - killed_at < TAKEN_OVER_WITHIN_S
            after = three.keeper()
            assert after is not None
            assert after.worker != before.worker
            three.workers[before.worker].start()  # what was in its hands waits for it
            sent += SIZE
            eventually(lambda: len(three.values()) == sent, 60, what="all messages")  # noqa: B023
    found, tallies = three.values(), three.totals()
    shared = [tally for name, tally in tallies.items() if not name.endswith("-keeper")]
    stored = sum(t.stored for t in shared)
    missing = frozenset(("d", n) for n in range(sent) if n not in found)
    verdict = Verdict(sent, sent, len(found), len(missing), found.total() - len(found), 0, missing)
    database = "sqlite" if "sqlite" in database_url else "mariadb"
    record("keeper of three killed twice", database, verdict, time.monotonic() - begun)
    assert (missing, found.total(), stored) == (frozenset(), sent, sent)
    assert all("Traceback" not in worker.output() for worker in three.workers.values())


def publish(device: Publisher, messages: list[Publication]) -> None:
    """In portions, each of which the broker acknowledges within the publisher's patience."""
    for at in range(0, len(messages), 500):
        device.publish(messages[at : at + 500])
