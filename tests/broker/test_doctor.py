"""The doctor: what it says of files, of what it overhears, and of real brokers that are well, open, silent or away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker.certificates import Authority
from broker.connection import Endpoint, Heard
from broker.doctor.broker_checks import check_broker, overheard
from broker.doctor.configuration_checks import Configuration, check_configuration, read_configuration
from broker.doctor.finding import Finding, to_be_done
from broker.doctor.machine_checks import check_directory
from broker.doctor.tls_checks import check_tls
from broker.doctor.versions import check_version
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.production_broker import ProductionBroker

NOW_MS = 1_764_000_000_000


def named(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    """By check."""
    return {one.check: one for one in findings}


def heard(topic: str, payload: object, *, retained: bool = False) -> Heard:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Heard(topic, data, retained, 0.0, NOW_MS)


@pytest.mark.parametrize(
    ("lines", "check", "severity"),
    [
        ([], "queue", "problem"),
        ([("max_queued_messages", "100000")], "queue", "problem"),
        ([("max_queued_messages", "0")], "queue", "warning"),
        ([("max_queued_messages", "0"), ("max_queued_bytes", "1000000")], "queue", "fine"),
        ([], "window", "warning"),
        ([("max_inflight_messages", "0")], "window", "fine"),
        ([], "persistence", "problem"),
        ([("persistence", "true")], "persistence", "warning"),
        ([("persistence", "true"), ("autosave_interval", "0")], "persistence", "warning"),
        ([("persistence", "true"), ("autosave_interval", "5")], "persistence", "fine"),
        ([("allow_anonymous", "true")], "anonymous", "problem"),
        ([], "anonymous", "fine"),
    ],
)
def test_limits_that_lose_messages_are_found(lines: list[tuple[str, str]], check: str, severity: str) -> None:
    found = named(check_configuration(Configuration(tuple(lines))))[check]
    assert found.severity == severity
    assert bool(found.remedy) == (severity != "fine")


def test_included_files_count_and_the_last_value_holds(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.conf").write_text("max_inflight_messages 7\n")
    (tmp_path / "m.conf").write_text(f"# a comment\nmax_inflight_messages 2000\ninclude_dir {more}\n")
    assert read_configuration(tmp_path / "m.conf").number("max_inflight_messages") == 7


@pytest.mark.parametrize(
    ("version", "severity", "said"),
    [
        ((1, 6, 9), "problem", "too old"),
        ((2, 0, 11), "note", "freeze"),
        ((2, 0, 22), "fine", "2.0.22"),
        (None, "unknown", "does not say"),
    ],
)
def test_versions_with_known_faults_are_named(version: tuple[int, int, int] | None, severity: str, said: str) -> None:
    (found,) = check_version(version)
    assert found.severity == severity
    assert said in found.line


def test_clocks_are_compared_by_what_devices_send() -> None:
    found = overheard(
        [
            heard("iot/right/telemetry", {"ts": NOW_MS - 300, "temperature": 1}),
            heard("iot/seconds/telemetry", {"ts": (NOW_MS + 120_000) // 1000}),
            heard("iot/ahead/telemetry", {"ts": NOW_MS + 3_600_000}),
            heard("iot/backlog/telemetry", [{"ts": 1}]),
            heard("iot/none/telemetry", {"temperature": 1}),
            heard("iot/old/telemetry", {"ts": 5_000_000}, retained=True),
            heard("iot/spoilt/telemetry", b"{"),
            heard("$SYS/broker/version", b"mosquitto version 2.0.11"),
        ]
    )
    assert found.offsets_ms == {"iot/right": -300, "iot/seconds": 120_000, "iot/ahead": 3_600_000}
    assert found.version == (2, 0, 11)


def test_secrets_that_others_can_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "server.env").touch(mode=0o644)
    (tmp_path / "mosquitto.conf").touch(mode=0o644)
    (found,) = check_directory(tmp_path, "broker")
    assert (found.check, found.severity) == ("secrets", "problem")
    assert "server.env" in found.what
    assert "mosquitto.conf" not in found.what


def test_a_broker_of_ours_needs_nothing_but_what_this_machine_can_not_give(part_directory: Path) -> None:
    with ProductionBroker(part_directory) as broker:
        answer = broker.command("doctor", "--seconds", "0.5", "--json")
        found = {one["check"]: one["severity"] for one in answer.document}
        machine = {"user", "clock"}
        assert {check for check, severity in found.items() if severity in {"warning", "problem"}} <= machine
        assert {"queue", "window", "persistence", "anonymous", "tls", "answer", "version", "dropped"} <= set(found)
        assert answer.status == (1 if any(found.get(one) == "warning" for one in machine) else 0)
        text = broker.command("doctor", "--seconds", "0.1").out
        assert "The broker answers within" in text
    away = broker.command("doctor", "--seconds", "0.1")
    assert away.status == 1
    assert "is not there" in away.out
    assert "PROBLEM" in away.out


@contextmanager
def twins(port: int, password: str) -> Iterator[None]:
    """Two that use one client id and come back each time they are thrown out, as real ones do."""
    fighting = [paho.Client(CallbackAPIVersion.VERSION2, "twin") for _ in range(2)]
    for client in fighting:
        client.username_pw_set("twin", password)
        client.reconnect_delay_set(0.2, 0.2)  # type: ignore[arg-type]  # it takes fractions too
        client.connect_async("127.0.0.1", port)
        client.loop_start()
    yield
    for client in fighting:
        client.disconnect()
        client.loop_stop()


def test_a_client_id_that_two_use_is_named(part_directory: Path) -> None:
    with ProductionBroker(part_directory) as broker:
        made = broker.add("twin")
        login = broker.settings["MQTT_URL"].removeprefix("mqtt://").split("@")[0].split(":")
        endpoint = Endpoint("127.0.0.1", broker.port, login[0], login[1])
        with twins(broker.port, made["password"]):
            found = eventually(lambda: _problem(named(check_broker(endpoint, "iot", 1.0)).get("client ids")))
    assert found is not None
    assert "twin" in found.what


def _problem(finding: Finding | None) -> Finding | None:
    return finding if finding is not None and finding.severity == "problem" else None


def test_an_open_broker_is_a_problem(mosquitto: Mosquitto) -> None:
    found = named(check_broker(Endpoint("127.0.0.1", mosquitto.port), "iot", 0.2))
    assert found["anonymous"].severity == "problem"
    assert "and may read everything" in found["anonymous"].what
    assert to_be_done(found.values())


def test_a_frozen_broker_is_noticed_in_time(own_mosquitto: Mosquitto) -> None:
    own_mosquitto.process.freeze()
    (found,) = check_broker(Endpoint("127.0.0.1", own_mosquitto.port), "iot", 0.2, patience_s=0.5)
    assert found.severity == "problem"
    assert "says nothing for 0.5 s" in found.what


@contextmanager
def served(directory: Path, hosts: tuple[str, ...], days: float) -> Iterator[tuple[int, Path]]:
    """A broker with TLS whose certificate is for these hosts; its port and authority."""
    authority = Authority(directory)
    authority.make("Test")
    authority.make_server(hosts, days)
    port = free_port()
    files = [f"certfile {authority.server_certificate}", f"keyfile {authority.server_key}"]
    with Mosquitto(directory, extra=[f"listener {port} 127.0.0.1", *files]):
        yield port, authority.certificate


@pytest.mark.parametrize(
    ("hosts", "days", "severity", "said"),
    [
        (("localhost",), 100, "fine", "holds for 100 days"),
        (("localhost",), 5, "warning", "ends in 5 days"),
        (("elsewhere",), 100, "problem", "not valid for 'localhost'"),
        (("localhost",), -0.01, "problem", "expired"),
    ],
)
def test_a_certificate_is_judged_as_a_device_would(
    part_directory: Path, hosts: tuple[str, ...], days: float, severity: str, said: str
) -> None:
    with served(part_directory, hosts, days) as (port, ca):
        found = check_tls("localhost", port, ca, to="127.0.0.1")
    assert found.severity == severity, found
    assert said in found.what
