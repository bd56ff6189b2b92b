"""Whatever a device sends: decoding never raises, its counts add up, and what it says can be shown and stored."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from db.devices import About, ActuatorState
from ingest.dialects import native
from ingest.dialects.decoded import Decoded
from tests.ingest.unit.messages import LIMIT, NOW, message

LEVELS = st.sampled_from(
    ["iot", "kitchen", "telemetry", "status", "about", "state", "set", "led", "resend", "", "+", "é", "\ud800", "\n"]
)
TOPICS = (
    st.lists(LEVELS, max_size=5).map("/".join)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "iot/kitchen/telemetry",
            "iot/kitchen/temperature",
            "iot/kitchen/status",
            "iot/kitchen/about",
            "iot/kitchen/led/state",
        ]
    )
)
KEYS = st.sampled_from(
    ["ts", "age", "seq", "boot", "gone", "x", "units", "model", "actuators", "name", "state", "id", "min"]
) | st.text(max_size=6)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=8)
    | st.text(max_size=8)
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
PAYLOADS = st.binary(max_size=60) | DOCUMENTS.map(lambda document: json.dumps(document).encode())


def _check(decoded: Decoded) -> None:
    for problem in decoded.problems:
        assert problem.isprintable()
        problem.encode()
    for sample in decoded.samples:
        assert sample.seq is None or 0 <= sample.seq < 2**63
        assert sample.boot is None or (1 <= len(sample.boot) <= 64 and sample.boot.isprintable())
        at = sample.ts if sample.ts is not None else NOW - sample.age
        assert 0 <= at <= NOW + 86_400_000
        for metric, value in sample.values:
            assert 1 <= len(metric) <= 128
            assert metric.isprintable()
            assert math.isfinite(value)
            assert math.copysign(1, value) == 1 or value < 0
    if decoded.rejected:
        assert decoded.problems
    if not decoded.samples and decoded.report is None:
        assert decoded.problems, "it would vanish without a word"
    assert decoded.readings == decoded.rejected + sum(len(sample.values) for sample in decoded.samples)


@settings(max_examples=400, deadline=None)
@given(topic=TOPICS, payload=PAYLOADS)
@example("iot/kitchen/telemetry", b'{"boot": 1' + b"0" * 5_000 + b', "x": 1}')
@example("iot/kitchen/telemetry", b'{"seq": 1' + b"0" * 4_000 + b', "ts": 1' + b"0" * 4_000 + b', "x": 1}')
@example("iot/kitchen/led/state", b'{"state": 1' + b"0" * 5_000 + b"}")
@example("iot/kitchen/led/state", b"1" * 5_000)
def test_decoding_never_raises_and_its_counts_add_up(topic: str, payload: bytes) -> None:
    decoded = native.decode(message(topic, payload), "iot", LIMIT)
    if decoded is not None:
        _check(decoded)
        assert decoded.message.payload == payload


def _leaves(document: dict[str, Any]) -> int:
    return sum(_leaves(inner) if isinstance(inner, dict) else inner is not None for inner in document.values())


@settings(max_examples=100, deadline=None)
@given(items=st.lists(st.dictionaries(st.text(min_size=1, max_size=5), DOCUMENTS, max_size=5), max_size=4))
def test_every_value_of_a_message_is_a_reading_understood_or_not(items: list[dict[str, Any]]) -> None:
    reserved = {"ts", "age", "seq", "boot", "gone"}
    plain = [{key: value for key, value in item.items() if key not in reserved} for item in items]
    decoded = native.decode(message("iot/kitchen/telemetry", plain), "iot", LIMIT)
    assert decoded is not None
    if not any("not JSON" in problem for problem in decoded.problems):
        assert decoded.readings == sum(_leaves(item) for item in json.loads(decoded.message.payload))


@settings(max_examples=200, deadline=None)
@given(document=st.dictionaries(st.sampled_from(["model", "firmware", "actuators", "units", "x"]), DOCUMENTS))
def test_what_an_about_says_fits_its_columns(document: dict[str, Any]) -> None:
    decoded = native.decode(message("iot/kitchen/about", document), "iot", LIMIT)
    assert decoded is not None
    _check(decoded)
    if isinstance(decoded.report, About):
        for text in (decoded.report.model, decoded.report.firmware, *decoded.report.units):
            assert text is None or (len(text) <= 128 and text.isprintable())


@settings(max_examples=200, deadline=None)
@given(payload=st.text(max_size=40) | DOCUMENTS.map(lambda document: json.dumps({"state": document})))
def test_what_a_state_says_fits_its_column(payload: str) -> None:
    decoded = native.decode(message("iot/kitchen/led/state", payload.encode("utf-8", "replace")), "iot", LIMIT)
    assert decoded is not None
    _check(decoded)
    if isinstance(decoded.report, ActuatorState):
        assert decoded.report.state in ("ON", "OFF") or math.isfinite(float(decoded.report.state))
        assert len(decoded.report.state) <= 64


TIMES = st.integers(NOW - 10**12, NOW + 10**8) | st.integers(0, 10**10) | st.floats(0, 2e12)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "ts": TIMES | LEAVES,
        "age": st.integers(0, 10**6) | LEAVES,
        "seq": st.integers(0, 2**63) | LEAVES,
        "boot": st.sampled_from(["a1", "x" * 64, "x" * 65, 7]) | LEAVES,
        "gone": st.just([1, 2]) | LEAVES,
        "x": st.floats(allow_nan=False, allow_infinity=False) | st.integers() | DOCUMENTS,
        "y": LEAVES,
        "n" * 129: st.just(1),
    },
)


@settings(max_examples=500, deadline=None)
@given(item=OBJECTS)
@example({"ts": NOW, "seq": 0, "boot": "a1", "x": -0.0})
@example({"ts": NOW + 86_400_001, "x": 1})
@example({"x": 1, **{f"m{n}": n for n in range(20)}})
def test_an_object_is_understood_alone_as_it_is_in_a_backlog_of_one(item: dict[str, Any]) -> None:
    alone = native.decode(message("iot/kitchen/telemetry", item), "iot", LIMIT)
    listed = native.decode(message("iot/kitchen/telemetry", [item]), "iot", LIMIT)
    assert alone is not None
    assert listed is not None
    assert (alone.samples, alone.rejected) == (listed.samples, listed.rejected)
    assert len(alone.problems) == len(listed.problems)
