"""What the doctor concludes from the copies of a probe, and from what is retained at both ends of a bridge."""

from __future__ import annotations

import pytest

from broker.connection import Endpoint, Heard
from broker.doctor.bridge_checks import BridgeEnds, compare, judge, retained

UP, DOWN = "doctor/cloud/up/ab", "doctor/cloud/down/ab"
ENDS = BridgeEnds("cloud", "site1", "iot", Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2))


def heard(topic: str, at_s: float = 0.1, payload: bytes = b"", *, kept: bool = False) -> Heard:
    return Heard(topic, payload, kept, at_s, 0)


@pytest.mark.parametrize(
    ("copies", "severity", "said"),
    [
        ([heard(UP), heard(DOWN, 0.25)], "fine", "once, within 250 ms"),
        ([heard(UP)], "problem", "did not come back within 10 s"),
        ([heard(UP), heard(DOWN), heard(DOWN)], "problem", "came back twice"),
        ([heard(UP), heard(UP), heard(DOWN)], "problem", "was echoed"),
        ([heard(UP), heard(DOWN, 7.0)], "warning", "took 7.0 s"),
        ([heard("doctor/cloud/down/of-another"), heard(UP)], "problem", "did not come back"),
    ],
)
def test_a_probe_must_come_back_once_and_soon(copies: list[Heard], severity: str, said: str) -> None:
    found = judge("cloud", copies, UP, DOWN, 0.0, 10.0)
    assert (found.check, found.severity) == ("bridge cloud", severity)
    assert said in found.line


def test_values_that_both_ends_retain_must_be_the_same() -> None:
    here = {"kitchen/status": b"online", "kitchen/led/state": b"ON"}
    assert compare(ENDS, here, dict(here)).severity == "fine"
    found = compare(ENDS, here, {"kitchen/status": b"offline", "gone/status": b"online", "kitchen/led/state": b"ON"})
    assert found.severity == "warning"
    assert "gone/status, kitchen/status." in found.what


def test_what_came_later_on_a_retained_topic_counts_and_what_was_never_retained_does_not() -> None:
    messages = [
        heard("site1/iot/a/status", payload=b"online", kept=True),
        heard("site1/iot/a/status", payload=b"offline"),
        heard("site1/iot/b/status", payload=b"online"),
        heard("site1/iot/c/telemetry", payload=b"1"),
    ]
    assert retained(messages, "site1/iot/") == {"a/status": b"offline"}
