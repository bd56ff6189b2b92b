"""What is kept of a bridge, and what Mosquitto and stunnel are told of it."""

from __future__ import annotations

import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from broker import bridge_conf, bridges
from broker.bridge import BadBridge, Bridge, is_loopback
from broker.bridges import SAFE_TLS, BridgeFileError
from broker.directory import BrokerDirectory

DEBIAN_12 = (2, 0, 11)
CLOUD = Bridge(
    "cloud", "site1", "mqtt.example", 8883, "site1", own_ca=True, certificate=True, user="site1", password="s p#ce"
)


@pytest.fixture
def directory(tmp_path: Path) -> BrokerDirectory:
    """A broker's directory with nothing in it."""
    found = BrokerDirectory(tmp_path)
    found.bridges.mkdir()
    return found


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and line[0] not in "#;"]


def test_what_was_saved_is_found_again(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"the authority", "certificate": b"the certificate", "key": b"the key"})
    assert bridges.find(directory, "cloud") == CLOUD
    assert bridges.every(directory) == [CLOUD]
    assert bridges.file_of(directory, "cloud", "ca").read_bytes() == b"the authority"


def test_every_file_is_for_its_owner_alone(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"a", "certificate": b"c", "key": b"k"})
    bridges.prepare(directory, DEBIAN_12)
    files = sorted(directory.bridges.iterdir())
    assert [one.name for one in files] == [
        "cloud.ca.pem",
        "cloud.conf",
        "cloud.crt",
        "cloud.json",
        "cloud.key",
        "cloud.stunnel",
    ]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_what_is_removed_leaves_nothing(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"a", "certificate": b"c", "key": b"k"})
    bridges.prepare(directory, DEBIAN_12)
    assert bridges.remove(directory, "cloud")
    assert not bridges.remove(directory, "cloud")
    assert [one.name for one in directory.bridges.iterdir()] == ["cloud.removed"]


def test_a_name_leads_to_no_file_elsewhere(directory: BrokerDirectory) -> None:
    outside = directory.path / "outside.json"
    outside.write_text("{}")
    assert not bridges.remove(directory, "../outside")
    assert outside.exists()


def test_a_bridge_saved_anew_without_a_certificate_has_none(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"a", "certificate": b"c", "key": b"k"})
    bridges.save(directory, Bridge("cloud", "site1", "mqtt.example", 8883, "site1"), {})
    assert [one.name for one in directory.bridges.iterdir()] == ["cloud.json"]


@pytest.mark.parametrize("text", ["", "{", '{"name": "cloud"}', '{"name":"cloud","site":"#","host":"h","port":1}'])
def test_a_spoilt_file_is_named(directory: BrokerDirectory, text: str) -> None:
    (directory.bridges / "cloud.json").write_text(text)
    with pytest.raises(BridgeFileError, match=r"cloud\.json"):
        bridges.prepare(directory, DEBIAN_12)


def test_an_old_mosquitto_leaves_tls_to_stunnel(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"a", "certificate": b"c", "key": b"k"})
    (beside,) = bridges.prepare(directory, DEBIAN_12)
    conf = lines(directory.bridges / "cloud.conf")
    tunnel = lines(directory.bridges / "cloud.stunnel")
    (address,) = [line.removeprefix("address ") for line in conf if line.startswith("address")]
    assert beside.command[1] == str((directory.bridges / "cloud.stunnel").resolve())
    assert f"accept = {address}" in tunnel
    assert not [line for line in conf if line.startswith(("bridge_ca", "bridge_cert"))]
    assert {"verifyChain = yes", "checkHost = mqtt.example", "sni = mqtt.example", "delay = yes"} <= set(tunnel)
    assert f"cert = {bridges.file_of(directory, 'cloud', 'certificate').resolve()}" in tunnel


def test_a_new_mosquitto_does_tls_itself(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {"ca": b"a", "certificate": b"c", "key": b"k"})
    assert bridges.prepare(directory, SAFE_TLS) == ()
    conf = lines(directory.bridges / "cloud.conf")
    assert "address mqtt.example:8883" in conf
    assert "bridge_insecure false" in conf
    assert f"bridge_cafile {bridges.file_of(directory, 'cloud', 'ca').resolve()}" in conf
    assert f"bridge_keyfile {bridges.file_of(directory, 'cloud', 'key').resolve()}" in conf


def test_without_tls_nothing_runs_beside(directory: BrokerDirectory) -> None:
    bridges.save(directory, Bridge("cloud", "site1", "127.0.0.1", 1883, "site1", tls=False), {})
    assert bridges.prepare(directory, DEBIAN_12) == ()
    assert "address 127.0.0.1:1883" in lines(directory.bridges / "cloud.conf")


def test_an_address_is_proved_as_one(directory: BrokerDirectory) -> None:
    bridges.save(directory, Bridge("cloud", "site1", "192.0.2.7", 8883, "site1"), {})
    bridges.prepare(directory, DEBIAN_12)
    tunnel = lines(directory.bridges / "cloud.stunnel")
    assert "checkIP = 192.0.2.7" in tunnel
    assert "CAfile = /etc/ssl/certs/ca-certificates.crt" in tunnel
    assert not [line for line in tunnel if line.startswith("sni")]


def test_a_bridge_of_which_nothing_is_known_any_more_does_not_go_on(directory: BrokerDirectory) -> None:
    bridges.save(directory, CLOUD, {})
    bridges.prepare(directory, DEBIAN_12)
    (directory.bridges / "cloud.json").unlink()
    bridges.prepare(directory, DEBIAN_12)
    assert not (directory.bridges / "cloud.conf").exists()


def test_each_kind_of_topic_has_a_line_and_none_goes_both_ways() -> None:
    text = bridge_conf.text(CLOUD, bridge_conf.Files(), 20_000)
    topics = [line for line in text.splitlines() if line.startswith("topic ")]
    assert 'topic iot/+/+ out 1 "" site1/' in topics
    assert 'topic iot/+/+/state out 1 "" site1/' in topics
    assert 'topic iot/+/+/set in 1 "" site1/' in topics
    assert not [line for line in topics if " both " in line]
    assert "remote_password s p#ce" in text.splitlines()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../etc"),
        ("name", ""),
        ("site", "a/b"),
        ("site", "+"),
        ("site", "a b"),
        ("client_id", "a\nb"),
        ("root", "iot/#"),
        ("root", "iot//x"),
        ("host", "mqtt.example\ntopic # both"),
        ("host", ""),
        ("port", 0),
        ("port", 65_536),
        ("user", " u"),
        ("user", ""),
        ("password", "p\nlistener 1883"),
        ("password", "p "),
        ("pause_s", 0),
        ("keepalive_s", 4),
        ("largest_packet", 0),
    ],
)
def test_a_value_that_mosquitto_would_misread_is_refused(field: str, value: object) -> None:
    values: dict[str, Any] = {**asdict(CLOUD), field: value}
    with pytest.raises(BadBridge) as caught:
        Bridge(**values)
    assert caught.value.field == field


def test_what_needs_another_is_refused_without_it() -> None:
    with pytest.raises(BadBridge, match="user"):
        Bridge("cloud", "site1", "mqtt.example", 8883, "site1", password="p")
    with pytest.raises(BadBridge, match="TLS"):
        Bridge("cloud", "site1", "mqtt.example", 1883, "site1", tls=False, certificate=True)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("a", False)],
)
def test_this_machine_is_known(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it
