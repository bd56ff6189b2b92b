"""status, about, state: what is understood and what is refused, by name."""

from __future__ import annotations

from typing import Any

import pytest

from db.bridges import BridgeReport
from db.devices import About, ActuatorAbout, ActuatorState, Status
from ingest.dialects import native
from ingest.dialects.decoded import Report
from tests.ingest.unit.messages import LIMIT, decode, message


def _report(topic: str, payload: Any) -> Report | None:
    decoded = decode(f"iot/kitchen/{topic}", payload)
    assert (decoded.samples, decoded.rejected, decoded.problems) == ((), 0, ())
    return decoded.report


def _refusal(topic: str, payload: Any) -> str:
    decoded = decode(f"iot/kitchen/{topic}", payload)
    assert (decoded.samples, decoded.rejected, decoded.report) == ((), 0, None)
    (problem,) = decoded.problems
    assert problem.isprintable()
    return problem


def test_our_own_set_is_passed_over() -> None:
    for topic in ("iot/kitchen/led/set", "iot/kitchen/resend/set"):
        assert native.decode(message(topic, b"\xff" * 20, size=LIMIT + 1), "iot", LIMIT) is None


@pytest.mark.parametrize(("payload", "online"), [("online", True), ("offline", False), (" online\n", True)])
def test_status(payload: str, online: bool) -> None:
    assert _report("status", payload) == Status("kitchen", online)


@pytest.mark.parametrize("payload", ["", "ONLINE", "on", '"online"', "1", b"\xff", "offline\x00", "x" * 10_000])
def test_no_status(payload: str | bytes) -> None:
    refusal = _refusal("status", payload)
    assert "status" in refusal or "UTF-8" in refusal
    assert len(refusal) < 200


@pytest.mark.parametrize(("payload", "up"), [("1", True), ("0", False), (" 1\n", True)])
def test_a_bridge(payload: str, up: bool) -> None:
    decoded = native.decode(message("site1/bridge/state", payload.encode()), "+/iot", LIMIT)
    assert decoded is not None
    assert (decoded.report, decoded.reported_by, decoded.problems) == (BridgeReport("site1", up), None, ())


@pytest.mark.parametrize("payload", [b"", b"2", b"online", b"true", b"10", b"\xff", b"1\x00"])
def test_no_state_of_a_bridge(payload: bytes) -> None:
    decoded = native.decode(message("site1/bridge/state", payload), "+/iot", LIMIT)
    assert decoded is not None
    assert (decoded.report, len(decoded.problems)) == (None, 1)


def test_about() -> None:
    given = {
        "model": "esp8266-dht22",
        "firmware": "1.0.0",
        "actuators": ["led", {"name": "fan", "min": 0, "max": 100, "step": 1, "unit": "%"}],
        "units": {"temperature": "°C"},
        "more": {"is": "passed over"},
    }
    fan = ActuatorAbout("fan", 0, 100, 1, "%")
    assert _report("about", given) == About(
        "kitchen", "esp8266-dht22", "1.0.0", (ActuatorAbout("led"), fan), {"temperature": "°C"}
    )
    assert _report("about", {}) == About("kitchen", None, None, (), {})


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("", "about"),
        ("[]", "about"),
        ("{", "about"),
        (b"\xff", "about"),
        ("[" * 100_000, "about"),
        ({"model": 5}, "model"),
        ({"model": "m" * 129}, "model"),
        ({"firmware": "1\n2"}, "firmware"),
        ({"actuators": "led"}, "actuators"),
        ({"actuators": [5]}, "actuators"),
        ({"actuators": ["resend"]}, "resend"),
        ({"actuators": ["two words"]}, "two words"),
        ({"actuators": [{"min": 0}]}, "name"),
        ({"actuators": [{"name": "fan", "max": "high"}]}, "max"),
        ({"actuators": [{"name": "fan", "unit": "u" * 33}]}, "unit"),
        ({"units": {"temperature": 5}}, "units"),
        ({"units": {"temperature": "u" * 33}}, "unit"),
        ({"units": {"temperature": "a\x00b"}}, "unit"),
        ({"units": {"m" * 129: "x"}}, "units"),
        ({"units": {"": "x"}}, "units"),
        ('{"model": "\\ud800"}', "about"),
    ],
)
def test_no_about(payload: Any, named: str) -> None:
    refusal = _refusal("about", payload)
    assert named in refusal
    assert "about" in refusal or "actuator" in refusal


@pytest.mark.parametrize(
    ("payload", "state", "command"),
    [
        ("ON", "ON", None),
        ("off", "OFF", None),
        (" On ", "ON", None),
        ('"ON"', "ON", None),
        ("42", "42", None),
        ("-0.0", "0", None),
        ("21.50", "21.5", None),
        ('"7"', "7", None),
        ('{"state": "ON"}', "ON", None),
        ('{"id": "5f0c", "state": "OFF"}', "OFF", "5f0c"),
        ('{"id": null, "state": 0.1}', "0.1", None),
        ('{"state": "33"}', "33", None),
    ],
)
def test_state(payload: str, state: str, command: str | None) -> None:
    assert _report("led/state", payload) == ActuatorState("kitchen", "led", state, command)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("", "state"),
        ("maybe", "state"),
        ("true", "state"),
        ("null", "state"),
        ("nan", "state"),
        ("inf", "state"),
        ("1e400", "state"),
        ("[1]", "state"),
        ("{", "not JSON"),
        ("{}", "state"),
        ('{"state": null}', "state"),
        ('{"state": true}', "state"),
        ('{"state": NaN}', "state"),
        ('{"state": []}', "state"),
        ('{"state": "ON", "id": 5}', "id"),
        ('{"state": "ON", "id": ""}', "id"),
        ('{"state": "ON", "id": "' + "x" * 37 + '"}', "id"),
        ('{"state": "ON", "id": "\\ud800"}', "id"),
        ('"\\ud800"', "state"),
        (b"\xff", "UTF-8"),
        ("{" * 100_000, "JSON"),
    ],
)
def test_no_state(payload: str | bytes, named: str) -> None:
    assert named in _refusal("led/state", payload)


@pytest.mark.parametrize("topic", ["status", "about", "led/state"])
def test_too_large_a_report(topic: str) -> None:
    assert f"allowed are {LIMIT}" in _refusal(topic, b"x" * (LIMIT + 1))


@pytest.mark.parametrize(
    ("payload", "state"),
    [
        ("1.7976931348623151e308", "1.7976931348623151e+308"),
        ("0.1", "0.1"),
        ("55", "55"),
        ("-0", "0"),
        ("20.123456789012344", "20.123456789012344"),
    ],
)
def test_a_number_that_is_a_state_stays_exact(payload: str, state: str) -> None:
    decoded = native.decode(message("iot/kitchen/fan/state", payload.encode()), "iot", LIMIT)
    assert decoded is not None
    assert decoded.report == ActuatorState("kitchen", "fan", state, None)
