"""`python app.py` as a process: begins by itself, ends in order, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.process import is_gone
from tests.parts.publisher import Publisher
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess
from tests.runtime.processes import child_of, health, is_well, processes_of, stored


@contextlib.contextmanager
def open_stream(server: Server) -> Iterator[Iterator[str]]:
    with httpx2.stream("GET", f"{server.url}/api/live/", timeout=10, trust_env=False) as response:
        lines = response.iter_lines()
        assert next(lines) == "retry: 2000"
        yield lines


def telemetry(number: int) -> str:
    return json.dumps({"seq": number, "boot": "a", "v": number})


def test_it_stores_before_any_visitor_with_one_worker(part_directory: Path) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "1"}) as server:
        eventually(lambda: stored(server) > 0)
        found = health(server)
        assert [(t["name"], t["alive"], t["restarts"]) for t in found["ingest"]["threads"]] == [
            ("commands", True, 0),
            ("http-readings", True, 0),
            ("ingest", True, 0),
            ("latest", True, 0),
            ("upkeep", True, 0),
        ]
        assert found["status"] == "ok"
        assert server.output().count("Connected to the broker") == 1
        assert server.get("/live").url == f"{server.url}/", "what the side bar shows may be typed"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_with_live_open_twice(part_directory: Path, how: signal.Signals) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "2"}) as server:
        eventually(lambda: stored(server) > 0)
        assert len(processes_of(server.data_dir)) == 3, "server, broker, demo devices"
        with open_stream(server) as first, open_stream(server) as second:
            assert server.process.stop(how, seconds=5) == 0
            assert "event: end" in list(first)
            assert "event: end" in list(second)
        assert processes_of(server.data_dir) == {}
        assert "Traceback" not in server.output()
        assert "ERROR" not in server.output()
        assert "The account: " in server.output()


def test_streamlit_run_is_the_same_server(part_directory: Path) -> None:
    port = str(free_port())
    program = ("-m", "streamlit", "run", "app.py", "--server.port", port)
    with Server(part_directory, {"DEMO_DEVICES": "1", "PORT": port}, program=program) as server:
        eventually(lambda: stored(server) > 0)
        with open_stream(server) as lines:
            server.process.stop(signal.SIGTERM, seconds=5)
            assert "event: end" in list(lines)
        assert processes_of(server.data_dir) == {}
        assert "The account: " in server.output()
        assert "Traceback" not in server.output()


def test_a_second_interrupt_changes_nothing(part_directory: Path) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "1"}) as server:
        eventually(lambda: stored(server) > 0)
        with open_stream(server):
            os.kill(server.process.pid, signal.SIGINT)
            assert server.process.stop(signal.SIGINT, seconds=5) == 0
        assert processes_of(server.data_dir) == {}
        assert "Traceback" not in server.output()


def test_a_client_that_does_not_finish_its_request_holds_the_end_up_briefly(part_directory: Path) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "1"}) as server:
        eventually(lambda: stored(server) > 0)
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=5) as client:
            client.sendall(
                b"POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 99\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100"), "the server waits for the rest of it"
            assert server.process.stop(signal.SIGTERM, seconds=5) == 0
        assert processes_of(server.data_dir) == {}
        assert "Traceback" not in server.output()
        assert "A client did not leave in time" in server.output()
        assert "The account: " in server.output()


def test_broker_and_devices_die_with_a_killed_server(part_directory: Path) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "1"}) as server:
        eventually(lambda: stored(server) > 0)
        left = set(processes_of(server.data_dir)) - {server.process.pid}
        assert len(left) == 2
        server.kill()
        assert all(is_gone(pid) for pid in left)
        assert processes_of(server.data_dir) == {}


def test_what_was_sent_to_the_embedded_broker_before_the_end_is_stored(part_directory: Path) -> None:
    with Server(part_directory) as server:
        eventually(lambda: is_well(server))
        address = (server.data_dir / "mqtt_url").read_text().strip()
        port = int(address.rsplit(":", 1)[1])
        with Publisher(port) as device:
            device.publish(("iot/d/telemetry", telemetry(n)) for n in range(400))
        assert server.stop() == 0
        server.start()
        eventually(lambda: is_well(server))
        assert stored(server) == 400


def test_a_restart_keeps_data_and_continues_the_account(part_directory: Path, mosquitto: Mosquitto) -> None:
    settings = {"MQTT_URL": mosquitto.url, "MQTT_CLIENT_ID": part_directory.name, "TOPIC_ROOT": part_directory.name}
    with Server(part_directory, settings) as server:
        eventually(lambda: is_well(server))
        mosquitto.publish(f"{part_directory.name}/d/telemetry", telemetry(1))
        eventually(lambda: stored(server) == 1)
        server.stop()
        mosquitto.publish(f"{part_directory.name}/d/telemetry", telemetry(2))
        server.start()
        eventually(lambda: stored(server) == 2)
        series = server.get("/api/readings/", device="d", metric="v").json()
        assert [point["mean"] for point in series["points"]] == [1.0, 2.0]


@pytest.mark.parametrize("words", ["broker.embedded_child", "firmware simulate"])
def test_a_child_that_dies_is_started_again(part_directory: Path, words: str) -> None:
    with Server(part_directory, {"DEMO_DEVICES": "1"}) as server:
        eventually(lambda: stored(server) > 0)
        pid = child_of(server, words)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: child_of(server, words) not in (None, pid))
        before = stored(server)
        eventually(lambda: is_well(server) and stored(server) > before)
        assert "ended by " in server.output()


def test_a_frozen_database_does_not_hold_the_end(
    part_directory: Path, own_mariadb: MariaDB, mosquitto: Mosquitto, topic_root: str
) -> None:
    settings = {
        "DATABASE_URL": own_mariadb.fresh_database(),
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
    }
    with Server(part_directory, settings) as server:
        eventually(lambda: is_well(server))
        own_mariadb.freeze()
        mosquitto.publish(f"{topic_root}/d/telemetry", telemetry(1))
        assert server.process.stop(signal.SIGTERM, seconds=5) == 0
        own_mariadb.thaw()
        server.start()
        eventually(lambda: is_well(server))
        eventually(lambda: stored(server) == 1)


def test_a_worker_alone_and_pages_without_one_share_a_database(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    shared = {"DATABASE_URL": mariadb_url, "MQTT_URL": mosquitto.url, "TOPIC_ROOT": topic_root}
    (part_directory / "web").mkdir()
    with (
        WorkerProcess(part_directory, {**shared, "MQTT_CLIENT_ID": topic_root}) as worker,
        Server(part_directory / "web", {**shared, "INGEST": "off"}) as server,
    ):
        mosquitto.publish(f"{topic_root}/kitchen/telemetry", '{"temperature": 21.5}')
        eventually(lambda: stored(server) == 1)
        eventually(lambda: [d["device"] for d in server.get("/api/devices/").json()] == ["kitchen"])
        found = health(server)
        assert (found["status"], found["ingest"]["mode"]) == ("ok", "off")
        assert [w["name"] for w in found["ingest"]["workers"]] == [topic_root]
        assert "ingest" not in [t["name"] for t in found["ingest"]["threads"]]
        assert worker.stop(signal.SIGINT) == 0
        assert "Traceback" not in worker.output()
        eventually(lambda: health(server)["ingest"]["workers"][0]["broker_state"] == "stopped")
