"""Server and worker under something that listens as systemd does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess


@pytest.fixture
def systemd(part_directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(part_directory / "notify"))
        listening.settimeout(10)
        yield listening


def environment(systemd: socket.socket) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "300000"}


def hear(systemd: socket.socket) -> str:
    return systemd.recv(4096).decode()


def test_the_server_says_that_it_serves_and_lives_and_ends(part_directory: Path, systemd: socket.socket) -> None:
    with Server(part_directory, environment(systemd)) as server:
        assert hear(systemd) == "READY=1"
        assert all("WATCHDOG=1" in hear(systemd) for _ in range(3))
        assert server.stop() == 0
    heard = ""
    while heard != "STOPPING=1":
        heard = hear(systemd)


def test_the_worker_says_that_it_begins_and_lives_and_ends(
    part_directory: Path, mosquitto: Mosquitto, topic_root: str, systemd: socket.socket
) -> None:
    settings = {
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
        "DATABASE_URL": f"sqlite:///{part_directory}/monitor.db",
    }
    with WorkerProcess(part_directory, settings | environment(systemd)) as worker:
        assert hear(systemd) == "READY=1"
        assert all("WATCHDOG=1" in hear(systemd) for _ in range(3))
        assert worker.stop() == 0
    heard = ""
    while heard != "STOPPING=1":
        heard = hear(systemd)
