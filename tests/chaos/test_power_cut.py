"""10,000 messages, the broker killed with all it had acknowledged, and the times of production: each is stored once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import Record
from tests.chaos.power_cut import Scene, count_up, cut_power
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.simulated import SimulatedDevices
from tests.parts.worker import WorkerProcess

SIZE, DEVICES, A_SECOND = 10_000, 20, 250
#: Three rounds of folding, settling and asking.
_REPAIRED_WITHIN_S = 900.0


@pytest.fixture
def worker(
    part_directory: Path, database_url: str, own_mosquitto: Mosquitto, topic_root: str
) -> Iterator[WorkerProcess]:
    settings = {"DATABASE_URL": database_url, "MQTT_URL": own_mosquitto.url, "MQTT_CLIENT_ID": topic_root}
    with WorkerProcess(part_directory, settings | {"TOPIC_ROOT": topic_root}) as worker:
        yield worker


@pytest.mark.timeout(1200)
def test_a_power_cut_of_the_broker(  # its parts
    worker: WorkerProcess,
    database_url: str,
    own_mosquitto: Mosquitto,
    topic_root: str,
    record: Record,
    record_line: list[str],
) -> None:
    begun = time.monotonic()
    with SimulatedDevices(own_mosquitto.url, topic_root, count=DEVICES, period_s=DEVICES / A_SECOND) as devices:
        scene = Scene(devices, DEVICES, own_mosquitto, database_url, worker.stop, worker.start)
        cut_power(scene, SIZE // 4)
        eventually(lambda: len(devices.taken) >= SIZE, 120, what="all readings")
        devices.finish()
        eventually(lambda: devices.acknowledged == len(devices.taken), what="the broker's answers")
        before = count_up(database_url, devices).undelivered
        eventually(lambda: count_up(database_url, devices).undelivered == 0, _REPAIRED_WITHIN_S, what="all readings")
        found = count_up(database_url, devices)
    database = "SQLite" if "sqlite" in database_url else "MariaDB"
    record("power cut at the broker, with resend", database, found, time.monotonic() - begun)
    record_line.append(
        f"Power cut, {database}: {before:,} of {found.sent:,} messages were missing before any was asked for."
    )
    assert (found.stored, found.doubled, devices.lost) == (found.sent, 0, 0)
    assert found.acknowledged == found.sent >= SIZE
    assert before > SIZE // 4
    assert "Traceback" not in worker.output()
