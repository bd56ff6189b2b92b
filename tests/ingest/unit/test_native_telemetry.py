"""CONTRACT's telemetry and what may be wrong with it: what is kept, what is rejected, and what the reason names."""

from __future__ import annotations

import math
from typing import Any

import pytest

from db.readings import Sample
from db.resends import Gone
from ingest.dialects.decoded import Decoded
from tests.ingest.unit.messages import LIMIT, NOW, decode, message, telemetry

DAY_MS = 86_400_000
HOUR = 3_600_000


def _values(decoded: Decoded) -> dict[str, float]:
    return {metric: value for sample in decoded.samples for metric, value in sample.values}


def _only(payload: Any) -> Sample:
    decoded = telemetry(payload)
    assert (decoded.rejected, decoded.problems) == (0, ())
    (sample,) = decoded.samples
    return sample


# What is understood


def test_the_contracts_example() -> None:
    found = _only({"ts": NOW - 877, "seq": 17, "temperature": 23.4, "humidity": 56.1})
    assert found == Sample("kitchen", (("temperature", 23.4), ("humidity", 56.1)), NOW - 877, 0, 17, None)


def test_without_a_time_it_is_ours() -> None:
    assert _only({"temperature": 1}) == Sample("kitchen", (("temperature", 1.0),), None, 0, None, None)
    assert _only({"temperature": 1, "ts": None}).ts is None


def test_nested_names_are_joined_by_dots() -> None:
    assert _only({"a": {"b": {"c": 1}, "d": 2}, "e": 3}).values == (("a.b.c", 1.0), ("a.d", 2.0), ("e", 3.0))


def test_reserved_names_are_reserved_at_the_top_only() -> None:
    assert _only({"a": {"ts": 1, "seq": 2, "boot": 3}}).values == (("a.ts", 1.0), ("a.seq", 2.0), ("a.boot", 3.0))


def test_booleans_are_numbers_and_null_is_nothing() -> None:
    assert _only({"on": True, "off": False, "none": None}).values == (("on", 1.0), ("off", 0.0))


@pytest.mark.parametrize(
    ("given", "stored"), [("-0.0", 0.0), ("-0", 0.0), ("1e3", 1000.0), ("9007199254740993", 2.0**53)]
)
def test_numbers_as_float64(given: str, stored: float) -> None:
    (value,) = _values(telemetry(f'{{"x": {given}}}')).values()
    assert (value, math.copysign(1, value)) == (stored, 1.0)


def test_a_backlog() -> None:
    found = telemetry([{"ts": NOW - 2, "seq": 1, "x": 1}, {"age": 5, "seq": 2, "boot": "b", "x": 2}, {"x": 3}])
    assert found.problems == ()
    assert found.samples == (
        Sample("kitchen", (("x", 1.0),), NOW - 2, 0, 1, None),
        Sample("kitchen", (("x", 2.0),), None, 5, 2, "b"),
        Sample("kitchen", (("x", 3.0),), None, 0, None, None),
    )


@pytest.mark.parametrize(
    ("ts", "ms"),
    [
        (NOW, NOW),
        (float(NOW), NOW),
        (NOW + 0.6, NOW + 1),
        (NOW // 1000, NOW // 1000 * 1000),
        (1_700_000_000.1234, 1_700_000_000_123),
        (0, 0),
        (NOW + DAY_MS, NOW + DAY_MS),
        (100_000_000_000, 100_000_000_000),
    ],
)
def test_ts(ts: float, ms: int) -> None:
    assert _only({"ts": ts, "x": 1}).ts == ms


def test_age_counts_only_where_there_is_no_ts() -> None:
    assert _only({"age": 1500.4, "x": 1}).age == 1500
    found = _only({"ts": NOW, "age": "nonsense", "x": 1})
    assert (found.ts, found.age) == (NOW, 0)


@pytest.mark.parametrize(("boot", "text"), [("a1", "a1"), (7, "7"), ("ü" * 64, "ü" * 64), (-1, "-1"), (None, None)])
def test_boot(boot: Any, text: str | None) -> None:
    assert _only({"seq": 1, "boot": boot, "x": 1}).boot == text


@pytest.mark.parametrize(("seq", "number"), [(0, 0), (17.0, 17), (2**63 - 1, 2**63 - 1), (None, None)])
def test_seq(seq: Any, number: int | None) -> None:
    assert _only({"seq": seq, "x": 1}).seq == number


@pytest.mark.parametrize("name", ["x", "a b", "°C", "π/2", "😀", "n" * 128, "a.b", "-"])
def test_a_metric_has_any_printable_name(name: str) -> None:
    assert _only({name: 1}).values == ((name, 1.0),)


def test_the_same_key_twice_counts_once() -> None:
    assert _values(telemetry('{"x": 1, "x": 2}')) == {"x": 2.0}


def test_five_hundred_metrics() -> None:
    given = {f"metric-{n}": n for n in range(500)}
    assert _values(telemetry(given)) == given


def test_the_largest_message_is_understood_and_one_byte_more_is_not() -> None:
    payload = '{"x": 1}'.ljust(LIMIT)
    assert _values(telemetry(payload)) == {"x": 1.0}
    found = telemetry(payload + " ")
    assert (found.samples, found.rejected) == ((), 0)
    assert found.problems == (f"the message has {LIMIT + 1} bytes; allowed are {LIMIT} (MAX_MESSAGE_BYTES)",)


def test_a_message_of_which_only_the_beginning_was_kept_is_not_understood() -> None:
    """Its properties made the packet too large, although its payload is not."""
    found = telemetry('{"x": 1}', size=70_000)
    assert found.samples == ()
    assert "70000 bytes" in found.problems[0]


# What is rejected as a whole


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "the message is empty"),
        (b"  \n", "the message is empty"),
        (b"hello", "not JSON"),
        (b"{", "not JSON"),
        (b'{"x": 1', "not JSON"),
        (b'{"x": 1}}', "not JSON"),
        (b'{"x": 01}', "not JSON"),
        (b'{"x": 1} trailing', "not JSON"),
        (b"\xff\xfe", "not UTF-8 (byte 0)"),
        (b'{"x": "\xc3\x28"}', "not UTF-8 (byte 7)"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"null", "the message is null"),
        (b"21.5", "the message is 21.5"),
        (b"true", "the message is True"),
        (b'"text"', "the message is a text ('text')"),
        (b"[]", "the message holds no reading"),
        (b"{}", "the message holds no reading"),
        (b'{"x": null}', "the message holds no reading"),
        (b'{"seq": 3}', "the message holds no reading"),
        (b"[1, 2]", "[0] is 1"),
        (b"[[]]", "[0] is an array"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
    ],
)
def test_what_holds_nothing_we_know(payload: bytes, reason: str) -> None:
    found = telemetry(payload)
    assert _values(found) == {}
    assert reason in found.problems[0]


# What is rejected by itself, while its neighbour `ok` is kept


@pytest.mark.parametrize(
    ("field", "name", "why"),
    [
        ('"bad": NaN', "bad: ", "nan is no finite number"),
        ('"bad": Infinity', "bad: ", "inf is no finite number"),
        ('"bad": -Infinity', "bad: ", "-inf is no finite number"),
        ('"bad": 1e400', "bad: ", "inf is no finite number"),
        (f'"bad": 1{"0" * 400}', "bad: ", "too large"),
        ('"bad": "21.5"', "bad: ", "a text ('21.5'); expected a number"),
        ('"bad": ""', "bad: ", "a text"),
        ('"bad": [1, 2]', "bad: ", "an array; expected a number"),
        ('"deep": {"bad": "x"}', "deep.bad: ", "a text"),
        (f'"{"k" * 10_000}": 1', f"{'k' * 80}…: ", "1 to 128 characters, this one 10000"),
        ('"": 1', ": ", "1 to 128 characters, this one 0"),
        ('"tab\\t": 1', "tab\\u0009: ", "printable characters only"),
        ('"nul\\u0000": 1', "nul\\u0000: ", "printable characters only"),
        ('"half\\ud800": 1', "half\\ud800: ", "printable characters only"),
        ('"bad": "\\ud800\\u001b[31m"', "bad: ", "a text"),
    ],
)
def test_one_bad_value_costs_itself(field: str, name: str, why: str) -> None:
    found = telemetry(f'{{"ok": 1, {field}}}')
    assert _values(found) == {"ok": 1.0}
    assert found.rejected == 1
    (problem,) = found.problems
    assert problem.startswith(name)
    assert why in problem
    assert problem.isprintable()


def test_too_deep_a_value_costs_itself() -> None:
    found = telemetry('{"ok": 1, "a": ' + '{"a": ' * 40 + "1" + "}" * 41)
    assert _values(found) == {"ok": 1.0}
    assert found.rejected == 1
    assert "nested more than 32 levels deep" in found.problems[0]


def test_the_reason_of_a_backlog_names_the_place() -> None:
    found = telemetry([{"x": 1}, {"x": "bad"}, 7, {"ts": -1, "x": 1, "y": 2}])
    assert _values(found) == {"x": 1.0}
    assert found.rejected == 3
    assert [problem.split(":")[0] for problem in found.problems] == [
        "[1].x",
        '[2] is 7; expected an object such as {"temperature"',
        "[3].ts",
    ]


def test_a_thousand_bad_values_leave_a_short_reason() -> None:
    found = telemetry({f"bad-{n}": "x" for n in range(1_000)})
    assert found.rejected == 1_000
    assert len(found.problems) == 20


@pytest.mark.parametrize(
    "ts", ["-1", "-0.5", "NaN", "Infinity", "1e400", '"2025-01-01"', "true", "[]", "{}", f"1{'0' * 400}", str(2**63)]
)
def test_a_bad_ts_costs_the_readings_of_its_object(ts: str) -> None:
    found = telemetry(f'[{{"ts": {ts}, "seq": 4, "x": 1, "y": 2}}, {{"x": 3}}]')
    assert _values(found) == {"x": 3.0}
    assert found.rejected == 2
    assert found.problems[0].startswith("[0].ts: ")
    assert found.samples[0].seq == 4, "that the number arrived is known all the same"


@pytest.mark.parametrize("ts", [NOW + DAY_MS + 1, NOW / 1000 + 86_401, 99_999_999_999, NOW * 1000])
def test_a_ts_in_the_future_is_rejected(ts: float) -> None:
    found = telemetry({"ts": ts, "x": 1})
    assert (found.samples, found.rejected) == ((), 1)
    assert found.problems == (f"ts: {ts} is more than 24 h in the future",)


@pytest.mark.parametrize("age", ["-1", '"5"', "true", "NaN", "1e400"])
def test_a_bad_age_costs_the_readings(age: str) -> None:
    found = telemetry(f'{{"age": {age}, "x": 1}}')
    assert (found.samples, found.rejected) == ((), 1)
    assert found.problems[0].startswith("age: ")


@pytest.mark.parametrize("age", [NOW + 1, 2**62, 2**63 - 1])
def test_an_age_from_before_1970_is_rejected(age: int) -> None:
    assert _only({"age": NOW, "x": 1}).age == NOW
    found = telemetry({"age": age, "x": 1})
    assert (found.samples, found.rejected) == ((), 1)
    assert found.problems[0].startswith("age: ")


@pytest.mark.parametrize("seq", ["-1", "1.5", '"7"', "true", "NaN", "1e400", str(2**63)])
def test_a_bad_seq_is_taken_as_absent(seq: str) -> None:
    found = telemetry(f'{{"seq": {seq}, "x": 1}}')
    assert _values(found) == {"x": 1.0}
    assert found.samples[0].seq is None
    assert (found.rejected, found.problems[0][:5]) == (0, "seq: ")


@pytest.mark.parametrize("boot", ['""', '"' + "b" * 65 + '"', "true", "[]", '"a\\nb"', '"\\ud800"', f"1{'0' * 100}"])
def test_a_bad_boot_is_taken_as_absent(boot: str) -> None:
    found = telemetry(f'{{"seq": 1, "boot": {boot}, "x": 1}}')
    assert _values(found) == {"x": 1.0}
    assert found.samples[0].boot is None
    assert (found.rejected, found.problems[0][:6]) == (0, "boot: ")


# The answer to a resend


@pytest.mark.parametrize(("boot", "named"), [("a1", "a1"), (7, "7")])
def test_what_a_device_has_no_longer(boot: object, named: str) -> None:
    for payload in ({"boot": boot, "gone": [120, 140]}, [{"boot": boot, "gone": [120, 140]}]):
        found = telemetry(payload)
        assert found == Decoded(found.message, report=Gone("kitchen", named, 120, 140))
        assert found.reported_by == "kitchen"


def test_an_answer_may_have_a_number_of_its_own() -> None:
    found = telemetry({"boot": "a1", "seq": 9, "ts": NOW, "gone": [3, 3]})
    assert found.report == Gone("kitchen", "a1", 3, 3)
    assert found.samples == (Sample("kitchen", (), NOW, 0, 9, "a1"),)
    assert found.problems == ()


@pytest.mark.parametrize(
    "gone",
    [None, 5, "5", {}, [], [1], [1, 2, 3], [2, 1], [-1, 3], [0, 2**63], [1.0, 2], [True, 2], ["1", "2"], [0, []]],
)
def test_an_answer_without_two_numbers(gone: object) -> None:
    found = telemetry({"boot": "a1", "gone": gone})
    assert (found.samples, found.report, found.rejected) == ((), None, 0)
    assert [problem[:6] for problem in found.problems] == ["gone: "]


@pytest.mark.parametrize("boot", [{}, {"boot": None}, {"boot": ""}, {"boot": "x" * 65}, {"boot": []}])
def test_an_answer_that_does_not_tell_of_which_start(boot: dict[str, object]) -> None:
    found = telemetry({**boot, "gone": [1, 2]})
    assert found.report is None
    assert [problem[:6] for problem in found.problems] == ["boot: "]


def test_readings_beside_an_answer_are_taken_and_the_answer_is_not() -> None:
    found = telemetry({"boot": "a1", "gone": [1, 2], "x": 1})
    assert (_values(found), found.report) == ({"x": 1.0}, None)
    assert found.problems[0].startswith("gone: ")
    found = telemetry([{"boot": "a1", "gone": [1, 2]}, {"boot": "a1", "seq": 3, "x": 1}])
    assert (_values(found), found.report, found.problems) == ({"x": 1.0}, Gone("kitchen", "a1", 1, 2), ())
    found = telemetry([{"boot": "a1", "gone": [1, 2]}, {"boot": "a1", "gone": [4, 5]}])
    assert found.report == Gone("kitchen", "a1", 1, 2)
    assert found.problems[0].startswith("gone: it is there more than once")


# A topic a value


@pytest.mark.parametrize(
    ("payload", "value"), [("23.4", 23.4), (" 7\n", 7.0), ("true", 1.0), ("-0", 0.0), ("1e2", 100.0)]
)
def test_a_bare_number(payload: str, value: float) -> None:
    found = decode("iot/kitchen/temperature", payload)
    assert found.samples == (Sample("kitchen", (("temperature", value),), None, 0, None, None),)
    assert (found.rejected, found.problems) == (0, ())


@pytest.mark.parametrize("payload", ["", "warm", "null", "{}", "[1]", '"1"', "NaN", "1e400", "23,4", b"\xff"])
def test_no_bare_number(payload: str | bytes) -> None:
    found = decode("iot/kitchen/temperature", payload)
    assert (found.samples, found.rejected) == ((), 1)
    assert found.problems[0].startswith("temperature: ")


@pytest.mark.parametrize("topic", ["iot/kitchen", "iot/kit chen/telemetry", "elsewhere/x/y", "iot/a/b/c"])
def test_an_unknown_topic_is_told_with_its_payload_kept(topic: str) -> None:
    found = decode(topic, {"x": 1})
    assert (found.samples, found.report, found.rejected) == ((), None, 0)
    assert found.message == message(topic, {"x": 1})
    assert len(found.problems) == 1
