"""`bridge check` against far ends of all kinds: what it says of each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.bridge import Bridge
from broker.bridge_check import Finding, check
from broker.bridge_conf import Files
from tests.chaos.bridge_stage import CloudBroker
from tests.parts.bridge_tls import SigningAuthority
from tests.parts.bridged import Hearer
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.production_broker import ProductionBroker


@pytest.fixture
def authority(part_directory: Path) -> SigningAuthority:
    """One that signs."""
    return SigningAuthority(part_directory / "ca")


@pytest.fixture
def cloud(part_directory: Path, authority: SigningAuthority) -> Iterator[CloudBroker]:
    """A far end that wants a certificate."""
    with CloudBroker(part_directory / "cloud", authority) as running:
        yield running


def tried(port: int, files: Files, **more: object) -> list[Finding]:
    values = {"own_ca": files.ca is not None, "certificate": files.certificate is not None, **more}
    bridge = Bridge("cloud", "site1", "127.0.0.1", port, "site1", **values)  # type: ignore[arg-type]
    return list(check(bridge, files, timeout_s=1))


def test_all_is_well(cloud: CloudBroker, authority: SigningAuthority) -> None:
    files = Files(authority.ca, *authority.issue("site1"))
    found = tried(cloud.tls_port, files)
    assert [one.step for one in found] == ["address", "connection", "TLS", "login", "commands"]
    assert all(one.ok for one in found)


def test_what_waits_for_the_bridge_goes_on_waiting(own_mosquitto: Mosquitto) -> None:
    """Its session keeps the commands that nobody has taken yet."""
    tried(own_mosquitto.port, Files(), tls=False)
    own_mosquitto.publish("site1/iot/kitchen/led/set", "ON")
    assert tried(own_mosquitto.port, Files(), tls=False)[-1].ok
    with Hearer(own_mosquitto.port, name="site1") as bridge:
        eventually(lambda: bridge.payloads("site1/iot/kitchen/led/set") == ["ON"])


def test_no_certificate(cloud: CloudBroker, authority: SigningAuthority) -> None:
    last = tried(cloud.tls_port, Files(authority.ca))[-1]
    assert (last.step, last.ok) == ("login", False)
    assert "certificate" in last.words


def test_a_revoked_certificate(cloud: CloudBroker, authority: SigningAuthority) -> None:
    files = Files(authority.ca, *authority.issue("site1"))
    authority.revoke("site1")
    cloud.restart()
    last = tried(cloud.tls_port, files)[-1]
    assert (last.step, last.ok) == ("login", False)
    assert "certificate" in last.words


@pytest.mark.parametrize(
    ("kind", "words"), [("expired", "has expired"), ("other", "is not for 127.0.0.1"), ("stranger", "--ca")]
)
def test_a_far_end_that_does_not_prove_itself(
    kind: str, words: str, part_directory: Path, authority: SigningAuthority
) -> None:
    signer = SigningAuthority(part_directory / "another", "Another") if kind == "stranger" else authority
    host = "other.example" if kind == "other" else "127.0.0.1"
    with CloudBroker(part_directory / kind, signer, host=host, expired=kind == "expired") as far:
        last = tried(far.tls_port, Files(authority.ca))[-1]
    assert (last.step, last.ok) == ("TLS", False)
    assert words in last.words


def test_a_wrong_password(part_directory: Path) -> None:
    with Mosquitto(part_directory, users={"site1": "right"}) as far:
        last = tried(far.port, Files(), tls=False, user="site1", password="wrong")[-1]
        assert (last.step, last.ok) == ("login", False)
        assert "password" in last.words
        assert tried(far.port, Files(), tls=False, user="site1", password="right")[-1].ok


def test_a_far_end_that_lets_no_commands_be_read(part_directory: Path) -> None:
    """The account is that of a device, and so may read its own commands alone."""
    with ProductionBroker(part_directory, "--root", "iot") as far:
        made = far.add("site1")
        login = {"user": "site1", "password": made["password"]}
        last = tried(far.port, Files(), tls=False, **login)[-1]
    assert (last.step, last.ok) == ("commands", False)
    assert "site1/iot/+/+/set" in last.words


def test_nobody_listens() -> None:
    last = tried(free_port(), Files())[-1]
    assert (last.step, last.ok) == ("connection", False)
    assert "nothing listens" in last.words


def test_one_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        by_tls, plain = tried(port, Files())[-1], tried(port, Files(), tls=False)[-1]
    assert "never answers by TLS" in by_tls.words
    assert "says nothing" in plain.words


def test_no_tls_at_that_port(mosquitto: Mosquitto) -> None:
    last = tried(mosquitto.port, Files())[-1]
    assert (last.step, last.ok) == ("TLS", False)


def test_a_name_that_nobody_has() -> None:
    bridge = Bridge("cloud", "site1", "nobody.invalid", 8883, "site1")
    (only,) = check(bridge, Files(), timeout_s=1)
    assert (only.step, only.ok) == ("address", False)
    assert "nobody.invalid can't be found" in only.words
