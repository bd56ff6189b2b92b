from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.dialects.topics import Topic, UnknownTopic, filters, is_report, parse, report_filters

LONGEST = "d" * 64


@pytest.mark.parametrize(
    ("topic", "root", "expected"),
    [
        ("iot/kitchen/telemetry", "iot", Topic("telemetry", "kitchen")),
        ("iot/kitchen/status", "iot", Topic("status", "kitchen")),
        ("iot/kitchen/about", "iot", Topic("about", "kitchen")),
        ("iot/kitchen/temperature", "iot", Topic("metric", "kitchen", "temperature")),
        ("iot/kitchen/state", "iot", Topic("metric", "kitchen", "state")),
        ("iot/kitchen/led/state", "iot", Topic("state", "kitchen", "led")),
        ("iot/kitchen/telemetry/state", "iot", Topic("state", "kitchen", "telemetry")),
        ("iot/kitchen/led/set", "iot", Topic("set", "kitchen", "led")),
        ("iot/kitchen/resend/set", "iot", Topic("set", "kitchen", "resend")),
        ("iot/Kitchen/Telemetry", "iot", Topic("metric", "Kitchen", "Telemetry")),
        ("iot/a.B_c-9/x.Y_z-0", "iot", Topic("metric", "a.B_c-9", "x.Y_z-0")),
        (f"iot/{LONGEST}/{LONGEST}", "iot", Topic("metric", LONGEST, LONGEST)),
        ("iot/iot/telemetry", "iot", Topic("telemetry", "iot")),
        ("home/iot/kitchen/telemetry", "home/iot", Topic("telemetry", "kitchen")),
        ("site1/iot/kitchen/telemetry", "+/iot", Topic("telemetry", "site1/kitchen")),
        ("site1/iot/kitchen/led/state", "+/iot", Topic("state", "site1/kitchen", "led")),
        ("site1/bridge/state", "+/iot", Topic("bridge", "", "site1")),
        ("bridge/iot/bridge/state", "+/iot", Topic("metric", "bridge/bridge", "state")),
    ],
)
def test_topic(topic: str, root: str, expected: Topic) -> None:
    assert parse(topic, root) == expected


@pytest.mark.parametrize(
    ("topic", "root", "reason"),
    [
        ("other/kitchen/telemetry", "iot", "not under iot"),
        ("Iot/kitchen/telemetry", "iot", "not under iot"),
        ("iotx/kitchen/telemetry", "iot", "not under iot"),
        ("/iot/kitchen/telemetry", "iot", "not under iot"),
        ("home", "home/iot", "not under home/iot"),
        ("iot", "iot", "unknown topic"),
        ("iot/kitchen", "iot", "unknown topic"),
        ("iot/kitchen/a/b/c", "iot", "unknown topic"),
        ("iot/kitchen/led/get", "iot", "'get'"),
        ("iot/kitchen/resend/state", "iot", "resend"),
        ("iot//telemetry", "iot", "device name ''"),
        ("iot/-kitchen/telemetry", "iot", "device name '-kitchen'"),
        ("iot/kitchen sink/telemetry", "iot", "device name 'kitchen sink'"),
        ("iot/küche/telemetry", "iot", "device name 'küche'"),
        ("iot/kitchen\n/telemetry", "iot", "device name"),
        (f"iot/{LONGEST}d/telemetry", "iot", "device name"),
        ("iot/kitchen/", "iot", "metric name ''"),
        ("iot/kitchen/.x", "iot", "metric name '.x'"),
        ("iot/kitchen/l d/state", "iot", "actuator name 'l d'"),
        ("s te/iot/kitchen/telemetry", "+/iot", "site name 's te'"),
        ("/iot/kitchen/telemetry", "+/iot", "site name ''"),
        ("s te/bridge/state", "+/iot", "site name 's te'"),
        ("site1/bridge/state", "iot", "not under iot"),
        ("site1/bridge/state/x", "+/iot", "not under +/iot"),
    ],
)
def test_unknown_topic(topic: str, root: str, reason: str) -> None:
    with pytest.raises(UnknownTopic) as caught:
        parse(topic, root)
    assert reason in str(caught.value)


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["iot", "kitchen", "", "set", "state", "+", "#", "é"])).map("/".join)
)
def test_any_topic_is_known_or_unknown(topic: str) -> None:
    try:
        found = parse(topic, "iot")
    except UnknownTopic:
        return
    assert topic.startswith(f"iot/{found.device}/")


def test_bridges_are_subscribed_to_where_there_are_sites() -> None:
    assert filters("iot") == ("iot/#",)
    assert filters("+/iot") == ("+/iot/#", "+/bridge/state")
    assert "+/bridge/state" in report_filters("+/iot")
    assert not any("bridge" in pattern for pattern in report_filters("iot"))


_LEVELS = st.lists(st.sampled_from(["iot", "site", "status", "about", "state", "led", ""]), min_size=1, max_size=6)


def _matches(pattern: str, topic: str) -> bool:
    """MQTT 5, section 4.7, for patterns without '#'."""
    wanted, levels = pattern.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


@given(_LEVELS.map("/".join), st.sampled_from(["iot", "+/iot", "home/iot"]))
def test_reports_are_what_their_filters_match(below: str, root: str) -> None:
    topic = f"{root.replace('+', 'site')}/{below}"
    assert is_report(topic, root) == any(_matches(pattern, topic) for pattern in report_filters(root))


@given(_LEVELS.map("/".join))
def test_reports_are_what_parses_as_one_or_is_wrong(below: str) -> None:
    try:
        kind = parse(f"iot/{below}", "iot").kind
    except UnknownTopic:
        return
    assert is_report(f"iot/{below}", "iot") == (kind in ("status", "about", "state"))
