"""Devices with a login of their own, from sensor to row and from click to pin, at a broker for production."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.boards import Boards
from tests.parts.eventually import eventually
from tests.parts.process import Process
from tests.parts.site import Site, running_site


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests here; each uses devices of its own."""
    with running_site() as found:
        yield found


def address(site: Site, device: str) -> str:
    """For what speaks no TLS: the listener of this machine, and a new login."""
    return f"mqtt://{device}:{site.add(device)}@127.0.0.1:{site.broker.port}"


def test_a_device_sends_and_obeys(site: Site) -> None:
    with site.device("attic", site.add("attic")) as attic:
        assert attic.subscribe("iot/attic/+/set") == "Granted QoS 1"
        assert attic.publish("iot/attic/telemetry", '{"temperature": 19.5}') == "Success"
        assert attic.publish("iot/attic/led/state", "OFF", retain=True) == "Success"
        eventually(lambda: site.value("attic") == 19.5 and site.reported("attic") == "OFF")
        order = {"device": "attic", "led": "led", "state": "ON"}
        asked = site.ask("POST", "/led_control/", json=order)
        assert asked.status_code == 202
        eventually(lambda: attic.received, what="the command")
        topic, payload = attic.received[0]
        assert topic == "iot/attic/led/set"
        assert attic.publish("iot/attic/led/state", payload.decode(), retain=True) == "Success"
        assert site.ask("GET", f"/commands/{asked.json()['id']}/?wait=5").json()["status"] == "confirmed"


def test_our_boards_come_in_with_it_and_obey(site: Site, part_directory: Path) -> None:
    with Boards(part_directory, address(site, "porch"), "iot", device="porch") as boards:
        boards.measure(23.4, 56.1)
        eventually(lambda: site.value("porch", "temperature") == 23.4 and site.reported("porch") == "OFF")
        assert site.outcome("porch", "ON") == "confirmed"
        eventually(lambda: boards.led == "on", what="the pin")


def test_a_simulated_device_comes_in_with_it_and_obeys(site: Site, part_directory: Path) -> None:
    command = [sys.executable, "-m", "firmware", "simulate", "--count", "1", "--period", "0.1"]
    command += ["--broker", address(site, "greenhouse")]
    simulator = Process(command, log=part_directory / "simulator.log")
    simulator.start()
    eventually(lambda: site.value("greenhouse") is not None and site.reported("greenhouse") is not None)
    assert site.outcome("greenhouse", "TOGGLE") == "confirmed"
    assert simulator.stop() == 0
