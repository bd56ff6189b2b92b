"""Dead letters: too many of them, and how that is told."""

from __future__ import annotations

import logging

import pytest

from db import account, dead_letters
from db.engine import reading
from ingest.health import DeadLetters
from tests.ingest.conftest import MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher


def test_those_that_have_to_leave_are_counted_and_the_count_outlives_the_worker(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, dead_letters_max=3)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish((f"{topic_root}/d/telemetry", f"no JSON {n}") for n in range(8))
    eventually(lambda: worker.health.dead_letters == DeadLetters(kept=3, removed=5))
    assert [letter.payload for letter in worker.held().letters] == [b"no JSON 5", b"no JSON 6", b"no JSON 7"]
    assert worker.check_account().rejected == 8, "that a letter left changes nothing of what was received"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("had to leave" in line and "DEAD_LETTERS_MAX (3)" in line for line in warnings)
    worker.stop()
    said = "The account: in messages, 8 received = 0 stored + 0 duplicate + 8 rejected + 0 waiting; in readings, 0 rec"
    assert said in caplog.text
    again = make_worker(database_url, mosquitto.url, topic_root, dead_letters_max=3)
    again.start()
    again.connected()
    assert again.health.dead_letters == DeadLetters(kept=3, removed=5)
    with reading(again.database) as connection:
        assert (dead_letters.count(connection), account.letters_removed(connection)) == (3, 5)
