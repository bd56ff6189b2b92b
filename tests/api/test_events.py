from __future__ import annotations

import json

from api.events import Event, Presence, Reading, State, encode, events, resume_from
from ingest.snapshot import AboutChange, Change, ReadingChange, Snapshot, StateChange, StatusChange, apply

EMPTY = Snapshot(1_764_000_000_000, 0, {})


def temperature(device: str, ts: int, value: float) -> ReadingChange:
    return ReadingChange(device, "temperature", ts, value, ts + 5)


def after(*batches: Change) -> Snapshot:
    snapshot = EMPTY
    for batch in batches:
        snapshot = apply(snapshot, [batch])
    return snapshot


def test_the_whole_state_begins_with_version_0_and_ends_with_the_new_id() -> None:
    snapshot = after(
        AboutChange("kitchen", "esp", "1.0", {"temperature": "°C"}, {"led": None}, 1),
        StatusChange("kitchen", True, 2),
        temperature("kitchen", 10, 21.5),
        StateChange("kitchen", "led", "ON", 20),
    )
    found = events(snapshot, None)
    assert [event.data for event in found] == [
        Presence("kitchen", True, 20, "esp", "1.0"),
        Reading("kitchen", "temperature", "°C", 10, 21.5, 15, None),
        State("kitchen", "led", "ON", 20, None),
    ]
    assert [event.id for event in found] == ["1764000000000-0", None, "1764000000000-4"]


def test_only_what_changed_is_told_and_its_last_event_has_the_id() -> None:
    snapshot = after(StatusChange("a", True, 1), temperature("a", 10, 1.0), temperature("b", 10, 2.0))
    snapshot = apply(snapshot, [temperature("b", 20, 3.0), StateChange("b", "led", "OFF", 21)])
    found = events(snapshot, 3)
    assert [event.data for event in found] == [
        Reading("b", "temperature", None, 20, 3.0, 25, 10),
        State("b", "led", "OFF", 21, None),
    ]
    assert [event.id for event in found] == [None, "1764000000000-4"]


def test_a_device_that_goes_away_is_told_without_its_readings() -> None:
    snapshot = after(StatusChange("a", True, 1), temperature("a", 10, 1.0), StatusChange("a", False, 20))
    assert events(snapshot, 2) == [Event(Presence("a", False, 20, None, None), "1764000000000-3")]


def test_nothing_changed_is_nothing_told() -> None:
    snapshot = after(temperature("a", 10, 1.0))
    assert events(snapshot, 1) == []


def test_a_state_of_one_event_still_has_both_ids() -> None:
    snapshot = after(StatusChange("a", True, 1))
    assert events(snapshot, None) == [
        Event(Presence("a", True, 1, None, None), "1764000000000-0"),
        Event(None, "1764000000000-1"),
    ]


def test_no_devices_are_an_id_alone() -> None:
    assert encode(events(EMPTY, None)) == b"id: 1764000000000-0\n\n"


def test_devices_come_by_name() -> None:
    snapshot = after(temperature("b", 1, 1.0), temperature("a", 1, 1.0))
    devices = [event.data.device for event in events(snapshot, None) if isinstance(event.data, Presence)]
    assert devices == ["a", "b"]


def test_an_event_on_the_wire_is_one_line_of_json_whatever_the_names_hold() -> None:
    reading = Reading("site1/kitchen", "a\nb\r\u2028", "°C", 1, 0.1, 2, None)
    lines = Event(reading, "5-7").encode().decode().split("\n")
    assert lines[:2] == ["id: 5-7", "event: reading"]
    assert lines[3:] == ["", ""]
    assert json.loads(lines[2].removeprefix("data: ")) == {
        "device": "site1/kitchen",
        "metric": "a\nb\r\u2028",
        "unit": "°C",
        "ts": 1,
        "value": 0.1,
        "received_at": 2,
        "interval_ms": None,
    }


def test_a_client_resumes_from_an_id_of_this_process_alone() -> None:
    snapshot = after(temperature("a", 1, 1.0), temperature("a", 2, 2.0))
    assert resume_from("1764000000000-1", snapshot) == 1
    assert resume_from("1764000000000-2", snapshot) == 2
    for other in (None, "", "1764000000000-0", "1764000000000-3", "1763999999999-1", "x-1", "1764000000000-1-1", "-1"):
        assert resume_from(other, snapshot) is None
