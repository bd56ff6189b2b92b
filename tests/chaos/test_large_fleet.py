"""5,000 simulated devices in one event loop: all connect, are heard, and come back after the broker's kill -9."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.mqtt5_client import Mqtt5Client
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

DEVICES = 5_000
RATE = 1_000
_ROOT = Path(__file__).parents[2]
#: Connecting that many takes seconds, on a busy machine many of them.
_PATIENCE_S = 60.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broker(part_directory: Path) -> Iterator[Mosquitto]:
    """A broker that may have that many connections, because it inherits our limit of open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        with Mosquitto(part_directory, extra=["log_type none"]) as running:
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_5000_devices_connect_publish_and_survive_their_broker(broker: Mosquitto) -> None:
    command = [sys.executable, "-m", "firmware", "simulate", "--broker", broker.url]
    simulator = subprocess.Popen(
        [*command, "--count", str(DEVICES), "--rate", str(RATE)], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert heard(broker, DEVICES) == DEVICES
        eventually(lambda: connections(simulator.pid) >= DEVICES, _PATIENCE_S, what="5,000 connections")
        broker.kill()
        broker.start()
        assert heard(broker, DEVICES) == DEVICES
        simulator.send_signal(signal.SIGINT)
        out, _ = simulator.communicate(timeout=_PATIENCE_S)
    finally:
        simulator.kill()
        simulator.wait()
    assert simulator.returncode == 0
    assert "lost" not in out.splitlines()[-1]


def heard(broker: Mosquitto, devices: int) -> int:
    """How many devices were heard, once it is all of them or nothing comes any more."""
    client = Mqtt5Client(broker.url, "listener")
    try:
        client.subscribe("iot/+/telemetry")
        names: set[str] = set()
        while len(names) < devices and (packet := client.receive(_PATIENCE_S)) is not None:
            client.acknowledge(packet)
            names.add(packet.topic)
        return len(names)
    finally:
        client.drop()


def connections(pid: int) -> int:
    """Files a process has open, nearly all of them connections here."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
