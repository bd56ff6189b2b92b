from __future__ import annotations

import json
import subprocess

import pytest
from pydantic import SecretStr

from pages.parts.connect import publish_line
from settings import MqttAddress
from tests.parts.mosquitto import Mosquitto


def test_the_line_works_as_it_stands(mosquitto: Mosquitto, topic_root: str) -> None:
    address = MqttAddress("127.0.0.1", mosquitto.port)
    listen = [
        "mosquitto_sub",
        "-h",
        address.host,
        "-p",
        str(address.port),
        "-t",
        f"{topic_root}/+/telemetry",
        "-v",
        "-C",
        "1",
    ]
    subprocess.run(["bash", "-c", publish_line(address, topic_root).replace("-q 1", "-q 1 -r")], check=True, timeout=5)

    heard = subprocess.run(listen, check=True, capture_output=True, text=True, timeout=5).stdout

    topic, payload = heard.split(" ", 1)
    assert topic == f"{topic_root}/kitchen/telemetry"
    assert json.loads(payload) == {"temperature": 21.5, "humidity": 48}


@pytest.mark.parametrize(
    ("root", "topic"), [("iot", "iot/kitchen"), ("+/iot", "site1/iot/kitchen"), ("a/b", "a/b/kitchen")]
)
def test_a_site_is_named_where_the_root_leaves_it_open(root: str, topic: str) -> None:
    assert f" -t {topic}/telemetry " in publish_line(MqttAddress("127.0.0.1", 1883), root)


def test_a_password_is_never_shown() -> None:
    line = publish_line(MqttAddress("broker.example", 8883, True, "ann", SecretStr("hunter2")), "iot")

    assert "hunter2" not in line
    assert '-u ann -P "$MQTT_PASSWORD"' in line
    assert "--tls-use-os-certs" in line
