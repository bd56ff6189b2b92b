from __future__ import annotations

import json

import pytest

from firmware.messages import (
    LedCommand,
    Sample,
    decode_led_command,
    decode_resend_request,
    encode_about,
    encode_backlog,
    encode_gone,
    encode_led_state,
    encode_sample,
    valid_root,
)

SAMPLE = Sample(ts=1_764_000_000_123, seq=17, boot="a1", temperature=23.4, humidity=56.1)
AS_JSON = {"ts": 1_764_000_000_123, "seq": 17, "boot": "a1", "temperature": 23.4, "humidity": 56.1}


def test_telemetry_is_as_in_the_contract() -> None:
    assert json.loads(encode_sample(SAMPLE)) == AS_JSON
    assert json.loads(encode_backlog([SAMPLE, SAMPLE])) == [AS_JSON, AS_JSON]
    assert json.loads(encode_gone("a1", 120, 140)) == {"boot": "a1", "gone": [120, 140]}


def test_about_names_actuators_and_units() -> None:
    about = json.loads(encode_about("1.0.0"))
    assert about["actuators"] == ["led"]
    assert about["units"] == {"temperature": "°C", "humidity": "%RH"}


def test_a_state_carries_the_id_of_the_command_that_caused_it() -> None:
    assert json.loads(encode_led_state("ON", "x")) == {"id": "x", "state": "ON"}
    assert json.loads(encode_led_state("OFF", None)) == {"state": "OFF"}


@pytest.mark.parametrize(
    ("payload", "command"),
    [
        (b'{"id": "x", "state": "ON", "expires": 5}', LedCommand("ON", "x", 5)),
        (b'{"state": "OFF"}', LedCommand("OFF")),
        (b"ON", LedCommand("ON")),
        (b"OFF", LedCommand("OFF")),
    ],
)
def test_led_commands(payload: bytes, command: LedCommand) -> None:
    assert decode_led_command(payload) == command


@pytest.mark.parametrize("payload", [b"", b"on", b"TOGGLE", b"1", b'{"state": 1}', b'{"id": "x"}', b"[]", b"\xff{"])
def test_what_is_no_led_command(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is what the caller relies on
        decode_led_command(payload)


def test_resend_request() -> None:
    request = decode_resend_request(b'{"boot": "a1", "from": 120, "to": 161}')
    assert (request.boot, request.first, request.last) == ("a1", 120, 161)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"boot": "a", "from": 3, "to": 2}', b'{"boot": "a", "from": -1, "to": 2}', b"\x00"]
)
def test_what_is_no_resend_request(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is what the caller relies on
        decode_resend_request(payload)


@pytest.mark.parametrize(("root", "valid"), [("iot", True), ("site1/iot", True), ("+/iot", False), ("", False)])
def test_roots_a_device_can_publish_under(root: str, valid: bool) -> None:
    assert valid_root(root) is valid
