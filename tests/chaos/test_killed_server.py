"""`kill -9` of the server, again and again, while 1,000 messages are under way: all stored once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.conftest import Record
from tests.chaos.kills import kill_while_messages_flow
from tests.chaos.verdict import Verdict
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server


@pytest.mark.timeout(240)
def test_a_server_that_is_killed_again_and_again(
    part_directory: Path, database_url: str, mosquitto: Mosquitto, topic_root: str, record: Record
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
    }
    begun = time.monotonic()
    with Server(part_directory, settings) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        outcome = kill_while_messages_flow(server, mosquitto, topic_root, database_url, size=200, kills=5)
        verdict = Verdict(outcome.sent, outcome.sent, outcome.stored, outcome.lost, outcome.doubled, 0, frozenset())
        database = "sqlite" if "sqlite" in database_url else "mariadb"
        record("server killed five times", database, verdict, time.monotonic() - begun)
        assert (outcome.stored, outcome.lost, outcome.doubled) == (1000, 0, 0)
        assert outcome.account_stored == 1000
        assert "Traceback" not in server.output()
