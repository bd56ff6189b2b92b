"""`kill -9` of the server with a batch in its hands, then a restart: all stored once. `make chaos` does it often."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.kills import kill_while_messages_flow
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server


def test_messages_under_way_at_a_kill_are_stored_once(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    settings = {
        "DATABASE_URL": mariadb_url,
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
    }
    with Server(part_directory, settings) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        outcome = kill_while_messages_flow(server, mosquitto, topic_root, mariadb_url, size=400, kills=1)
        assert (outcome.stored, outcome.lost, outcome.doubled) == (400, 0, 0)
        assert outcome.account_stored == 400
        assert "Traceback" not in server.output()
