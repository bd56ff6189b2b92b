"""`python -m broker init`, `run` and `certificates`: what they make, and what happens when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from cryptography import x509

from broker.certificates import Authority
from tests.broker.device_client import Denied, DeviceClient
from tests.parts.eventually import eventually
from tests.parts.ports import accepts
from tests.parts.process import Process, is_gone
from tests.parts.production_broker import ProductionBroker, broker_command

SECRETS = ("server.env", "dynamic-security.json", "audit.log", "certificates/ca.key", "certificates/server.key")


def contents(broker: ProductionBroker) -> dict[str, bytes]:
    """All files but those that grow, by name."""
    path = broker.directory.path
    skipped = {"audit.log", "lock"}
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name not in skipped
    }


def again(broker: ProductionBroker, *words: str) -> None:
    """`init` for a directory that is there."""
    answer = broker.command("init", *words)
    assert answer.status == 0, answer.err
    assert "was made before and stays" in answer.out


def test_what_init_makes_is_for_its_owners_eyes_and_says_why(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    assert broker.directory.path.stat().st_mode & 0o777 == 0o700
    for secret in SECRETS:
        assert (broker.directory.path / secret).stat().st_mode & 0o777 == 0o600, secret
    lines = broker.directory.configuration.read_text().splitlines()
    assert f"listener {broker.port} 127.0.0.1" in lines
    assert f"listener {broker.tls_port}" in lines
    assert "max_queued_messages 0" in lines
    assert "allow_anonymous false" in lines
    assert sum(line.startswith("#") for line in lines) > 15
    assert broker.settings["MQTT_URL"].startswith("mqtt://smart-monitor:")
    assert broker.settings["MQTT_DEVICE_URL"] == f"mqtts://127.0.0.1:{broker.tls_port}"
    assert Path(broker.settings["MQTT_DEVICE_CA_FILE"]).samefile(broker.ca)


def test_init_again_changes_nothing(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    before = contents(broker)
    again(broker)
    assert contents(broker) == before


def test_init_again_changes_what_it_is_asked_to_and_keeps_accounts(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    before = contents(broker)
    again(broker, "--host", "broker.example.org", "--host", "192.0.2.7")
    after = contents(broker)
    assert {name for name in before if before[name] != after[name]} == {
        "settings.json",
        "certificates/server.crt",
        "certificates/server.key",
        "server.env",
    }
    assert broker.settings["MQTT_DEVICE_URL"] == f"mqtts://broker.example.org:{broker.tls_port}"
    certificate = x509.load_pem_x509_certificate(after["certificates/server.crt"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"broker.example.org", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"192.0.2.7", "127.0.0.1"} <= {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    again(broker, "--port", "19999")
    assert broker.settings["MQTT_URL"].endswith("@127.0.0.1:19999")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "a b"), "--host"),
        (("--plain", "everywhere"), "--plain"),
        (("--root", "#"), "--root"),
        (("--port", "8883"), "must be three ports"),
        (("--root", "plant/iot"), "Make another directory"),
    ],
)
def test_a_wrong_option_is_named_and_changes_nothing(part_directory: Path, words: tuple[str, ...], said: str) -> None:
    broker = ProductionBroker(part_directory, "--tls-port", "8883")
    before = contents(broker)
    answer = broker.command("init", *words)
    assert answer.status == 2
    assert said in " ".join(answer.err.split())
    assert contents(broker) == before


def test_commands_for_a_directory_that_is_not_there_say_what_to_type(part_directory: Path) -> None:
    for words in (("device", "list"), ("device", "add", "x"), ("certificates", "list"), ("run",)):
        answer = broker_command(*words, "--dir", str(part_directory / "nothing"))
        assert answer.status == 2
        assert "python -m broker init --dir" in answer.err


def test_accounts_can_be_made_before_the_broker_runs(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    made = broker.add("early")
    with broker, DeviceClient(broker.tls_port, "early", "early", made["password"], broker.ca) as device:
        assert device.publish("iot/early/telemetry") == "Success"
    assert [one["name"] for one in broker.command("device", "list", "--json").document] == ["early"]


def test_an_end_in_order_keeps_what_is_queued_and_leaves_nothing_running(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    made = broker.add("kitchen")
    with broker, DeviceClient(broker.tls_port, "kitchen", "kitchen", made["password"], broker.ca) as device:
        assert device.publish("iot/kitchen/status", "online", retain=True) == "Success"
        assert broker.process.stop() == 0
        assert not accepts(broker.tls_port)
        broker.start()
        login = broker.settings["MQTT_URL"].removeprefix("mqtt://").split("@")[0].split(":")
        with DeviceClient(broker.port, "server", login[0], login[1]) as server:
            server.subscribe("iot/#")
            eventually(lambda: server.received == [("iot/kitchen/status", b"online")])


def test_killed_it_takes_mosquitto_along(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    broker.start()
    children = Path(f"/proc/{broker.process.pid}/task/{broker.process.pid}/children").read_text().split()
    broker.process.kill()
    assert all(is_gone(int(child)) for child in children)
    assert children


def test_it_ends_when_mosquitto_does(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    broker.start()
    eventually(lambda: "The broker runs" in broker.process.log.read_text())
    (child,) = Path(f"/proc/{broker.process.pid}/task/{broker.process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    eventually(lambda: not broker.process.running)
    assert "Mosquitto ended, status -9" in broker.process.log.read_text()


def test_a_port_that_is_taken_is_named(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    with socket.create_server(("127.0.0.1", broker.tls_port)):
        process = Process(
            [sys.executable, "-m", "broker", "run", "--dir", str(broker.directory.path)], log=part_directory / "log"
        )
        process.start()
        eventually(lambda: not process.running)
    assert f"Port {broker.tls_port} is taken" in process.log.read_text()


def test_the_revocation_list_holds_from_the_next_start_on(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    made = broker.add("kitchen", "--certificate")
    device = DeviceClient(
        broker.certificate_port, "", ca=broker.ca, certificate=Path(made["certificate"]), key=Path(made["key"])
    )
    assert broker.command("certificates", "revoke", "kitchen").status == 0
    with broker, pytest.raises(Denied, match="hung up"), device:
        pass


def test_a_renewed_certificate_lets_in_and_the_list_tells_when_it_ends(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    broker.add("kitchen", "--certificate")
    assert broker.command("certificates", "renew", "kitchen").status == 0
    assert broker.command("certificates", "renew").status == 0
    answer = broker.command("certificates", "list", "--json")
    assert answer.status == 0
    assert broker.command("certificates", "--json").document == answer.document
    listed = {one["use"]: one for one in json.loads(answer.out)}
    assert listed["client"]["days_left"] == 729
    assert listed["server"]["days_left"] == 824
    files = {"certificate": Path(listed["client"]["file"]), "key": Path(listed["client"]["file"]).with_suffix(".key")}
    with broker, DeviceClient(broker.certificate_port, "", ca=broker.ca, **files) as device:  # type: ignore[arg-type]
        assert device.publish("iot/kitchen/telemetry") == "Success"


def test_a_certificate_that_ends_soon_is_said_and_renewed_at_the_next_start(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory)
    Authority(broker.directory.certificates).make_server(("127.0.0.1",), days=10)
    answer = broker.command("certificates", "list")
    assert answer.status == 1
    assert "9 days" in answer.out
    with broker:
        assert broker.command("certificates", "list").status == 0


def test_without_tls_a_board_comes_in_where_it_was_asked_for(part_directory: Path) -> None:
    broker = ProductionBroker(part_directory, "--plain", "127.0.0.9")
    assert broker.settings["MQTT_DEVICE_PLAIN_URL"] == f"mqtt://127.0.0.9:{broker.port}"
    made = broker.command("device", "add", "board").out
    config = json.loads(made.split("# config.json of an ESP8266 of ours\n")[1].split("\n\n")[0])
    assert (config["mqtt_host"], config["device"], config["root"]) == ("127.0.0.9", "board", "iot")
    with (
        broker,
        DeviceClient(
            config["mqtt_port"], "board", config["mqtt_user"], config["mqtt_password"], host=config["mqtt_host"]
        ) as device,
    ):
        assert device.publish("iot/board/telemetry") == "Success"
