"""`python -m broker bridge` as its user types it, and two brokers of ours that are bridged by it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.device_client import DeviceClient
from tests.parts.bridge_tls import SigningAuthority
from tests.parts.eventually import eventually
from tests.parts.ports import free_port
from tests.parts.production_broker import Answer, ProductionBroker

TO = ("--to", "mqtt.example")
USER = ("--user", "site1")


@pytest.fixture
def broker(part_directory: Path) -> ProductionBroker:
    """One that was made and does not run."""
    return ProductionBroker(part_directory)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """With a password on its first line."""
    file = tmp_path / "password"
    file.write_text("secret-of-site1\nmore\n")
    return file


def add(broker: ProductionBroker, *words: str) -> Answer:
    return broker.command("bridge", "add", "cloud", *words)


def test_a_bridge_is_made_listed_and_removed(broker: ProductionBroker, password_file: Path) -> None:
    made = add(broker, *TO, "--site", "site1", *USER, "--password-file", str(password_file), "--json")
    assert made.status == 0, made.err
    assert made.document["host"] == "mqtt.example"
    assert (made.document["changed"], made.document["restart_needed"]) == (False, False)
    (listed,) = broker.command("bridge", "list", "--json").document
    assert (listed["name"], listed["site"], listed["port"], listed["user"]) == ("cloud", "site1", 8883, "site1")
    assert broker.command("bridge", "remove", "cloud", "--json").document["removed"]
    assert broker.command("bridge", "list", "--json").document == []


def test_its_password_is_told_to_mosquitto_alone(broker: ProductionBroker, password_file: Path) -> None:
    said = [add(broker, *TO, *USER, "--password-file", str(password_file))]
    said += [add(broker, *TO, *USER, "--password-file", str(password_file), "--json")]
    said += [broker.command("bridge", "list"), broker.command("bridge", "list", "--json")]
    assert all(one.status == 0 and "secret-of-site1" not in one.out + one.err for one in said)
    assert "secret-of-site1" in (broker.directory.bridges / "cloud.json").read_text()
    assert "secret-of-site1" not in broker.directory.audit_log.read_text()


def test_the_password_may_stand_in_the_environment(broker: ProductionBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PASSWORD", "from-outside")
    assert add(broker, *TO, *USER).status == 0
    assert json.loads((broker.directory.bridges / "cloud.json").read_text())["password"] == "from-outside"


def test_what_was_done_is_in_the_audit_log(broker: ProductionBroker) -> None:
    add(broker, *TO)
    add(broker, *TO, "--port", "8884")
    broker.command("bridge", "remove", "cloud")
    lines = [json.loads(line) for line in broker.directory.audit_log.read_text().splitlines()]
    assert [(one["what"], one["about"]) for one in lines[-3:]] == [
        ("bridge added", "cloud"),
        ("bridge changed", "cloud"),
        ("bridge removed", "cloud"),
    ]


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--to", "a host"), "--to"),
        ((*TO, "--site", "a/b"), "--site"),
        ((*TO, "--port", "0"), "--port"),
        ((*TO, "--root", "iot/#"), "--root"),
        ((*TO, "--client-id", "a b"), "--client-id"),
        ((*TO, "--no-tls"), "--no-tls"),
        ((*TO, "--certificate", "/nowhere"), "--key"),
        ((*TO, "--ca", "/nowhere"), "--ca"),
        ((*TO, "--ca", "/dev/null"), "--ca"),
        ((*TO, "--user", "site1"), "--password-file"),
        ((*TO, "--password-file", "/nowhere"), "--password-file"),
        ((*TO, "--user", "site1", "--password-file", "/nowhere"), "--password-file"),
        ((*TO, "--far-end", "kafka"), "--far-end"),
    ],
)
def test_a_wrong_option_is_named(
    broker: ProductionBroker, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], option: str
) -> None:
    monkeypatch.delenv("BRIDGE_PASSWORD", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    said = add(broker, *words)
    assert said.status == 2
    assert option in said.err
    assert list(broker.directory.bridges.iterdir()) == []


def test_a_key_of_another_certificate_is_refused(broker: ProductionBroker, tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "ca")
    certificate, _ = authority.issue("site1")
    _, other_key = authority.issue("site2")
    said = add(broker, *TO, "--certificate", str(certificate), "--key", str(other_key))
    assert said.status == 2
    assert "--certificate" in said.err


def test_a_certificate_is_kept_so_that_its_file_may_go(broker: ProductionBroker, tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "ca")
    certificate, key = authority.issue("site1")
    files = ("--ca", str(authority.ca), "--certificate", str(certificate), "--key", str(key))
    assert add(broker, *TO, *files).status == 0
    assert (broker.directory.bridges / "cloud.key").read_bytes() == key.read_bytes()


def test_without_tls_only_on_this_machine_or_by_will(broker: ProductionBroker) -> None:
    assert add(broker, "--to", "127.0.0.1", "--no-tls").status == 0
    assert add(broker, *TO, "--no-tls", "--insecure").status == 0


def test_what_is_unknown_is_told_with_what_is_known(broker: ProductionBroker) -> None:
    add(broker, *TO)
    for command in ("remove", "check"):
        said = broker.command("bridge", command, "clod")
        assert said.status == 2
        assert "There are: cloud" in said.err


def test_check_tells_why_and_fails(broker: ProductionBroker) -> None:
    add(broker, "--to", "127.0.0.1", "--port", str(free_port()))
    said = broker.command("bridge", "check", "cloud", "--json")
    assert said.status == 1
    assert not said.document["ok"]
    assert "nothing listens" in said.document["steps"][-1]["words"]


@pytest.fixture
def cloud(part_directory: Path) -> Iterator[ProductionBroker]:
    """The broker in the cloud, running."""
    (part_directory / "cloud").mkdir()
    with ProductionBroker(part_directory / "cloud", "--root", "+/iot") as running:
        yield running


@pytest.mark.parametrize("certified", [False, True], ids=["password", "certificate"])
def test_two_brokers_of_ours_are_bridged_by_what_the_commands_print(
    cloud: ProductionBroker, part_directory: Path, tmp_path: Path, certified: bool
) -> None:
    (part_directory / "site").mkdir()
    site = ProductionBroker(part_directory / "site")
    account = cloud.add("site1", "--site", *(["--certificate"] if certified else []))
    where = ["--to", "127.0.0.1", "--site", "site1", "--ca", str(cloud.ca), "--pause", "1"]
    if certified:
        where += ["--port", str(cloud.certificate_port)]
        where += ["--certificate", account["certificate"], "--key", account["key"]]
    else:
        (tmp_path / "password").write_text(account["password"])
        where += ["--port", str(cloud.tls_port), "--user", "site1", "--password-file", str(tmp_path / "password")]
    made = add(site, *where)
    assert made.status == 0, made.err
    assert site.command("bridge", "check", "cloud").status == 0
    board = site.add("kitchen")
    user, _, password = cloud.settings["MQTT_URL"].removeprefix("mqtt://").split("@")[0].partition(":")
    with (
        site,
        DeviceClient(cloud.port, "server", user, password) as above,
        DeviceClient(site.tls_port, "kitchen", "kitchen", board["password"], ca=site.ca) as device,
    ):
        above.subscribe("+/iot/#")
        above.subscribe("+/bridge/state")
        device.subscribe("iot/kitchen/+/set")
        eventually(lambda: ("site1/bridge/state", b"1") in above.received, what="the bridge")
        device.publish("iot/kitchen/telemetry")
        above.publish("site1/iot/kitchen/led/set", "ON")
        eventually(
            lambda: (
                ("site1/iot/kitchen/telemetry", b"1") in above.received
                and ("iot/kitchen/led/set", b"ON") in device.received
            ),
            what="a reading above and a command below",
        )
        assert site.command("bridge", "check", "cloud").status == 0
        assert "reads bridges only when it starts" in add(site, *where).out


def tunnel_of(site: ProductionBroker) -> int | None:
    """The process id of the stunnel that the site's broker started, None if none runs."""
    for child in Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            if "stunnel" in Path(f"/proc/{child}/comm").read_text():
                return int(child)
    return None


def test_a_tunnel_that_ends_is_begun_anew(cloud: ProductionBroker, part_directory: Path, tmp_path: Path) -> None:
    (part_directory / "site").mkdir()
    site = ProductionBroker(part_directory / "site")
    (tmp_path / "password").write_text(cloud.add("site1", "--site")["password"])
    where = ["--to", "127.0.0.1", "--site", "site1", "--ca", str(cloud.ca), "--port", str(cloud.tls_port)]
    where += ["--user", "site1", "--password-file", str(tmp_path / "password"), "--pause", "1", "--longest-pause", "1"]
    assert add(site, *where).status == 0
    user, _, password = cloud.settings["MQTT_URL"].removeprefix("mqtt://").split("@")[0].partition(":")
    with site, DeviceClient(cloud.port, "server", user, password) as above:
        above.subscribe("+/bridge/state")
        eventually(lambda: ("site1/bridge/state", b"1") in above.received, what="the bridge")
        first = tunnel_of(site)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: ("site1/bridge/state", b"0") in above.received, what="the end of the bridge")
        eventually(lambda: above.received[-1] == ("site1/bridge/state", b"1"), what="the bridge anew")
        assert tunnel_of(site) not in (None, first)


def test_what_waits_for_a_removed_bridge_is_thrown_away(broker: ProductionBroker) -> None:
    """Else Mosquitto would go on queueing for it, without end."""
    assert add(broker, "--to", "127.0.0.1", "--port", str(free_port()), "--no-tls").status == 0
    device = broker.add("kitchen")
    with broker:
        login = ("kitchen", "kitchen", device["password"], broker.ca)
        with DeviceClient(broker.tls_port, *login) as kitchen:
            for _ in range(30):
                kitchen.publish("iot/kitchen/telemetry", "x" * 1000)
        removed = broker.command("bridge", "remove", "cloud")
        assert "reads bridges only when it starts" in removed.out
    assert b"x" * 1000 in (broker.directory.store / "mosquitto.db").read_bytes()
    with broker:
        eventually(lambda: not list(broker.directory.bridges.iterdir()), what="the end of what waited")
    assert b"x" * 1000 not in (broker.directory.store / "mosquitto.db").read_bytes()
