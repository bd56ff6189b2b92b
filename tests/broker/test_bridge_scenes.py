"""Commands and states over a cut, two sites, one client id twice, and a far end that means ill."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from broker.bridge import Bridge
from tests.broker.device_client import Denied, DeviceClient
from tests.chaos.bridge_scenes import Crossed, Told, commands_over_a_cut, states_over_a_cut, two_sites
from tests.chaos.bridge_stage import SMALL_BRIDGE, bridge_staged
from tests.parts.bridged import BridgedSite, Hearer, logged_mosquitto
from tests.parts.eventually import eventually
from tests.parts.production_broker import ProductionBroker


def test_commands_over_a_cut_arrive(part_directory: Path) -> None:
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        found = commands_over_a_cut(stage, 40)
    assert replace(found, repeated=0) == Told(sent=40, lost=0, repeated=0, answered=40, echoed=0)


def test_states_are_the_sites_after_a_cut(part_directory: Path) -> None:
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        site, cloud = states_over_a_cut(stage)
    assert site == {
        "iot/kitchen/changed/state": "second",
        "iot/kitchen/changed-above/state": "first",
        "iot/kitchen/deleted-above/state": "first",
    }
    assert cloud == site


def test_two_sites_do_not_meet(part_directory: Path) -> None:
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        assert two_sites(stage, 80) == Crossed(lost={"site1": 0, "site2": 0}, astray=())


def test_one_client_id_at_two_sites_loses_no_reading(part_directory: Path) -> None:
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        assert two_sites(stage, 80, same_client_id=True).lost == {"site1": 0, "site2": 0}


def test_a_message_that_is_too_large_for_the_far_end_stops_no_other(part_directory: Path) -> None:
    """It ends the connection with whoever sends such a one, and would do so each time anew."""
    (part_directory / "far").mkdir()
    site = BridgedSite(part_directory / "site")
    with logged_mosquitto(part_directory / "far", "max_packet_size 20000") as far:
        bridge = Bridge("cloud", "site1", "127.0.0.1", far.port, "site1", tls=False, largest_packet=20_000)
        site.add(replace(bridge, pause_s=1, longest_pause_s=1))
        with site, Hearer(far.port, "site1/iot/#") as above:
            eventually(site.is_bridged, what="a bridge")
            site.broker.publish("iot/kitchen/telemetry", "x" * 30_000)
            site.broker.publish("iot/kitchen/telemetry", "1")
            eventually(lambda: above.heard == [("site1/iot/kitchen/telemetry", "1")], what="the one that fits")


def publication(topic: str, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH of less than 16,384 bytes with QoS 1."""
    name = topic.encode()
    body = struct.pack("!H", len(name)) + name + struct.pack("!H", packet_id) + payload
    length = bytes([len(body) % 128 | 0x80, len(body) // 128]) if len(body) > 127 else bytes([len(body)])
    return b"\x32" + length + body


def test_a_far_end_can_not_make_itself_an_administrator(part_directory: Path) -> None:
    """Mosquitto asks no role of what comes over a bridge: only the line for $CONTROL stands between."""
    site = ProductionBroker(part_directory)
    maker = {"command": "createClient", "username": "mallory", "password": "x", "roles": [{"rolename": "admin"}]}
    with socket.create_server(("127.0.0.1", 0)) as far:
        port = far.getsockname()[1]
        made = site.command("bridge", "add", "cloud", "--to", "127.0.0.1", "--port", str(port), "--no-tls")
        assert made.status == 0, made.err
        with site:
            far.settimeout(20)
            link, _ = far.accept()
            with link:
                link.settimeout(20)
                link.recv(4096)
                link.sendall(b"\x20\x02\x00\x00")
                order = json.dumps({"commands": [maker]}).encode()
                link.sendall(publication("$CONTROL/dynamic-security/v1", order, 0x7777))
                said = b""
                while b"\x40\x02\x77\x77" not in said:  # it has taken it
                    said += link.recv(4096)
            with pytest.raises(Denied), DeviceClient(site.port, "mallory", "mallory", "x"):
                pass
