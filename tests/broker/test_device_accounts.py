"""What a device may do at the broker, and what revoking it does: at a real Mosquitto, through `python -m broker`."""

from __future__ import annotations

import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.device_client import Denied, DeviceClient
from tests.parts.production_broker import ProductionBroker
from tests.parts.tls import make_certificates

REFUSED = "Not authorized"

#: Topics that are not kitchen's to publish, then such that are not its to read.
FOREIGN = ("iot/barn/telemetry", "iot/kitchen/led/set", "iot/barn/led/set", "iot/kitchen", "iot", "other/kitchen/x",
           "$CONTROL/dynamic-security/v1", "$SYS/broker/uptime", "iot/kitchen/a/b/c")  # fmt: skip
SECRET = ("#", "+/#", "iot/#", "iot/kitchen/#", "iot/kitchen/telemetry", "iot/+/+/set", "iot/barn/+/set", "$SYS/#",
          "$CONTROL/#", "$share/g/iot/kitchen/+/set", "$share/g/#", "iot/kitchen/+/state")  # fmt: skip


@pytest.fixture(scope="module")
def broker() -> Iterator[ProductionBroker]:
    """One for all tests here; each uses devices of its own."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    with ProductionBroker(path) as broker:
        yield broker
    shutil.rmtree(path)


def client(broker: ProductionBroker, name: str, *options: str) -> DeviceClient:
    """A device that was just added, not yet connected."""
    made = broker.add(name, *options)
    if "--certificate" in options:
        files = {"certificate": Path(made["certificate"]), "key": Path(made["key"])}
        return DeviceClient(broker.certificate_port, "whatever", ca=broker.ca, **files)  # type: ignore[arg-type]
    assert made == {"username": name, "password": made["password"], "client_id": name}
    return DeviceClient(broker.tls_port, made["client_id"], made["username"], made["password"], broker.ca)


@pytest.mark.parametrize("options", [(), ("--certificate",)], ids=["password", "certificate"])
def test_a_device_may_send_its_own_and_read_its_commands_and_nothing_else(
    broker: ProductionBroker, options: tuple[str, ...]
) -> None:
    name = f"kitchen{len(options)}"
    device = client(broker, name, *options)
    with device:
        for own in ("telemetry", "temperature", "status", "about", "led/state"):
            assert device.publish(f"iot/{name}/{own}") == "Success"
        assert device.subscribe(f"iot/{name}/+/set") == "Granted QoS 1"
        assert device.subscribe(f"iot/{name}/led/set") == "Granted QoS 1"
        for topic in SECRET:
            assert device.subscribe(topic.replace("kitchen", name)) == REFUSED, topic
    for topic in FOREIGN:
        with device.another() as other:  # Mosquitto 2.0.11 hangs up after a publish that it refuses
            assert other.publish(topic.replace("kitchen", name)) == REFUSED, topic


@pytest.mark.parametrize("options", [(), ("--certificate",)], ids=["password", "certificate"])
def test_a_revoked_device_is_thrown_out_at_once_and_can_do_nothing_more(
    broker: ProductionBroker, options: tuple[str, ...]
) -> None:
    name = f"barn{len(options)}"
    made = client(broker, name, *options)
    with made as device:
        assert device.publish(f"iot/{name}/telemetry") == "Success"
        assert broker.command("device", "revoke", name).status == 0
        assert device.gone.wait(5)
    if options:
        # Mosquitto lets a certificate in until it reads the revocation list; it may do nothing.
        with made.another() as device:
            assert device.subscribe(f"iot/{name}/+/set") == REFUSED
            assert device.publish(f"iot/{name}/telemetry") == REFUSED
    else:
        with pytest.raises(Denied, match=REFUSED), made.another():
            pass
    listed = {one["name"]: one for one in broker.command("device", "list", "--json").document}
    assert listed[name] == {"name": name, "kind": "device", "revoked": True, "certificate": bool(options)}


def test_a_revoked_device_is_let_in_again_with_a_new_password(broker: ProductionBroker) -> None:
    first = client(broker, "attic")
    broker.command("device", "revoke", "attic")
    with client(broker, "attic") as device:
        assert device.publish("iot/attic/telemetry") == "Success"
    with pytest.raises(Denied), first:
        pass


def test_another_password_throws_out_who_came_with_the_old_one(broker: ProductionBroker) -> None:
    with client(broker, "shed") as device:
        rotated = broker.command("device", "rotate", "shed", "--json").document
        assert device.gone.wait(5)
    with pytest.raises(Denied), DeviceClient(broker.tls_port, "shed", "shed", device.password, broker.ca):
        pass
    with DeviceClient(broker.tls_port, "shed", "shed", rotated["password"], broker.ca) as device:
        assert device.publish("iot/shed/telemetry") == "Success"


def test_a_device_can_not_take_the_client_id_of_another(broker: ProductionBroker) -> None:
    broker.add("roof")
    made = broker.add("cellar")
    with pytest.raises(Denied, match=REFUSED), DeviceClient(
        broker.tls_port, "roof", "cellar", made["password"], broker.ca
    ):  # fmt: skip
        pass


def test_nobody_comes_in_without_a_login_or_without_knowing_the_broker(
    broker: ProductionBroker, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path)
    with pytest.raises(Denied, match=REFUSED), DeviceClient(broker.port, "x"):
        pass
    with pytest.raises(Denied, match=REFUSED), DeviceClient(broker.tls_port, "x", "kitchen", "guessed", broker.ca):
        pass
    with pytest.raises(Denied, match="hung up"), DeviceClient(broker.certificate_port, "x", ca=broker.ca):
        pass
    trusting = ssl.create_default_context(cafile=other.ca)
    with socket.create_connection(("127.0.0.1", broker.tls_port), 5) as plain, pytest.raises(ssl.SSLError):
        trusting.wrap_socket(plain, server_hostname="127.0.0.1")


def test_an_account_is_made_once_and_only_with_a_name_that_is_a_level(broker: ProductionBroker) -> None:
    broker.add("porch")
    again = broker.command("device", "add", "porch")
    assert again.status == 2
    assert "There is an account porch already" in again.err
    assert "allowed: 1 to 64" in broker.command("device", "add", "a/b").err
    assert broker.command("device", "revoke", "nobody").err == "There is no account nobody at the broker.\n"


def test_what_is_shown_of_a_device_works_as_it_stands(broker: ProductionBroker) -> None:
    text = broker.command("device", "add", "printed").out
    line = next(line for line in text.splitlines() if line.startswith("mosquitto_pub"))
    words = shlex.split(line)
    result = subprocess.run([*words, "-V", "5", "-d"], capture_output=True, text=True, check=True, timeout=10).stdout
    assert "RC:16" in result or "RC:0" in result
    assert "state_topic: iot/printed/temperature" in text
    assert "shown this once" in text


def test_the_log_of_the_directory_says_who_did_what(broker: ProductionBroker) -> None:
    broker.add("logged")
    broker.command("device", "revoke", "logged")
    lines = broker.directory.audit_log.read_text().splitlines()
    assert any('"what": "device added", "about": "logged"' in line for line in lines)
    assert any('"what": "revoked", "about": "logged"' in line for line in lines)
    assert broker.directory.audit_log.stat().st_mode & 0o777 == 0o600
