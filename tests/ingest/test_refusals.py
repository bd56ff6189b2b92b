"""A database that is well and refuses one message: that one becomes a dead letter, the others are stored."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from db import engine
from tests.ingest.conftest import MakeWorker
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

TS = 1_764_000_000_000
ON_SQLITE = (
    "CREATE TRIGGER no_13 BEFORE INSERT ON readings WHEN NEW.value = 13 "
    "BEGIN SELECT RAISE(ABORT, '13 is not allowed here'); END"
)
ON_MARIADB = (
    "CREATE TRIGGER no_13 BEFORE INSERT ON readings FOR EACH ROW IF NEW.value = 13 THEN SIGNAL SQLSTATE '45000' "
    "SET MESSAGE_TEXT = '13 is not allowed here'; END IF"
)


@pytest.mark.parametrize("culprits", [(13,), (13, 27, 99)])
def test_what_the_database_refuses_becomes_a_dead_letter(
    culprits: tuple[int, ...],
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
) -> None:
    # Offline while they are published, so that they come in one batch.
    first = make_worker(database_url, mosquitto.url, topic_root)
    first.start()
    first.connected()
    first.stop()
    with engine.writing(first.database) as connection:
        connection.execute(text(ON_SQLITE if "sqlite" in database_url else ON_MARIADB))
    with Publisher(mosquitto.port) as device:
        device.publish(
            (f"{topic_root}/d/telemetry", json.dumps({"ts": TS + n, "v": 13 if n in culprits else n + 100}))
            for n in range(100)
        )
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.wait_for(100)
    held = worker.held()
    assert held.values("d") == [float(n + 100) for n in range(100) if n not in culprits]
    assert [json.loads(letter.payload)["ts"] - TS for letter in held.letters] == list(culprits)
    assert all("the database refuses it" in letter.reason for letter in held.letters)
    assert all("13 is not allowed here" in letter.reason for letter in held.letters)
    tally = worker.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (100 - len(culprits), 0, len(culprits))
    assert worker.health.threads[0].restarts == 0
