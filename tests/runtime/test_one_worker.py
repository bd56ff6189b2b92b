"""What could make a second worker, and does not: *Clear cache*, and an edit of the sources in development."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server
from tests.runtime.processes import health, is_well, stored

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources that a test may edit, set up for a developer."""
    copy = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".git", ".venv", "data", "tests", "docs", "benchmarks", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=left_out)
    config = copy / ".streamlit" / "config.toml"
    config.write_text(config.read_text().replace('toolbarMode = "viewer"', 'toolbarMode = "developer"'))
    return copy


@pytest.fixture
def counting_mosquitto(part_directory: Path) -> Iterator[Mosquitto]:
    """A broker that tells every second how many clients it has."""
    with Mosquitto(part_directory, extra=["sys_interval 1"]) as broker:
        yield broker


class ClientCount:
    """How many clients the broker says it has, itself included, and how often it told its figures since.

    It tells a count only when that changed, and its uptime each time.
    """

    def __init__(self, port: int) -> None:
        self.clients, self.rounds = 0, 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("$SYS/broker/clients/connected", 0), ("$SYS/broker/uptime", 0)])
        self._client.loop_start()

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("uptime"):
            self.rounds += 1
        else:
            self.clients = int(message.payload)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_clear_cache_replaces_the_worker_and_makes_no_second_one(
    tmp_path: Path, counting_mosquitto: Mosquitto, checkout: Path, pages: Pages
) -> None:
    broker = counting_mosquitto
    settings = {"MQTT_URL": broker.url, "MQTT_CLIENT_ID": "the-worker"}
    with Server(tmp_path, settings, checkout=checkout) as server:
        eventually(lambda: is_well(server))
        broker.publish("iot/d/telemetry", '{"v": 1}')
        eventually(lambda: stored(server) == 1)
        before = health(server)["ingest"]["started_at"]
        page = pages.open(server.url)
        page.get_by_role("heading", name="Live").wait_for()
        page.keyboard.press("c")
        page.get_by_role("button", name="Clear caches").click()
        eventually(lambda: health(server)["ingest"]["started_at"] > before)
        eventually(lambda: is_well(server))
        broker.publish("iot/d/telemetry", '{"v": 2}')
        eventually(lambda: stored(server) == 2)
        threads = health(server)["ingest"]["threads"]
        assert [(t["name"], t["alive"], t["restarts"]) for t in threads] == [
            ("broker-watch", True, 0),
            ("commands", True, 0),
            ("http-readings", True, 0),
            ("ingest", True, 0),
            ("latest", True, 0),
            ("upkeep", True, 0),
        ]
        # Two workers with one client id would throw each other out for as long as they run.
        since = health(server)["broker"]["since"]
        clients = ClientCount(broker.port)
        # The worker, its watch, its commands, and the one that counts, over two rounds after what was retained.
        eventually(lambda: clients.rounds >= 3 and clients.clients == 4)
        clients.stop()
        assert health(server)["broker"]["since"] == since
        assert server.output().count("The account: ") == 1, "the first worker ended"
        assert server.output().count("Connected to the broker") == 2
        assert "is away" not in server.output()
        # The page goes on with the new runtime.
        broker.publish("iot/d/telemetry", '{"v": 77.25}')
        page.get_by_text("77.25").first.wait_for()
        assert server.stop() == 0
        assert "Traceback" not in server.output()


def test_an_edit_in_development_leaves_the_worker_alone(
    tmp_path: Path, mosquitto: Mosquitto, topic_root: str, checkout: Path, pages: Pages
) -> None:
    settings = {"MQTT_URL": mosquitto.url, "MQTT_CLIENT_ID": topic_root, "TOPIC_ROOT": topic_root}
    with Server(tmp_path, settings, checkout=checkout) as server:
        eventually(lambda: is_well(server))
        before = health(server)["ingest"]["started_at"]
        page = pages.open(server.url)
        page.get_by_role("heading", name="Live").wait_for()
        live = checkout / "pages" / "live.py"
        live.write_text(live.read_text().replace('st.title("Live"', 'st.title("Edited"'))
        writer = checkout / "ingest" / "writer.py"
        writer.write_text(writer.read_text() + "\n# edited\n")
        page.reload()
        page.get_by_role("heading", name="Edited").wait_for()
        mosquitto.publish(f"{topic_root}/d/telemetry", '{"v": 1}')
        eventually(lambda: stored(server) == 1)
        assert health(server)["ingest"]["started_at"] == before
        assert server.output().count("Connected to the broker") == 1
