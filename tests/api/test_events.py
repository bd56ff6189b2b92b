from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from api import events
from api.events import end, flush, resume_from
from db.commands import Command, Step
from ingest.snapshot import AboutChange, Change, ReadingChange, Snapshot, StateChange, StatusChange, apply
from ingest.standing import with_commands, without

EMPTY = Snapshot(1_764_000_000_000, 0, {})


def temperature(device: str, ts: int, value: float) -> ReadingChange:
    return ReadingChange(device, "temperature", ts, value, ts + 5)


def after(*batches: Change) -> Snapshot:
    snapshot = EMPTY
    for batch in batches:
        snapshot = apply(snapshot, [batch])
    return snapshot


def heard(snapshot: Snapshot, since: int | None) -> list[tuple[str | None, str | None, dict[str, Any]]]:
    """Event name, id and data of each block, as a client takes them."""
    found = []
    for block in b"".join(flush(snapshot, since)).decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event"), fields.get("id"), json.loads(fields.get("data", "{}"))))
    return found


def ids(snapshot: Snapshot, since: int | None) -> list[str | None]:
    return [identity for _, identity, _ in heard(snapshot, since)]


def test_the_whole_state_begins_with_version_0_and_ends_with_the_new_id() -> None:
    snapshot = after(
        AboutChange("kitchen", "esp", "1.0", {"temperature": "°C"}, {"led": None}, 1),
        StatusChange("kitchen", True, 2),
        temperature("kitchen", 10, 21.5),
        StateChange("kitchen", "led", "ON", 20),
    )
    presence = {
        "presence": "online",
        "online": True,
        "last_seen": 20,
        "model": "esp",
        "firmware": "1.0",
        "readings_per_minute": None,
    }
    reading = {"metric": "temperature", "unit": "°C", "ts": 10, "value": 21.5, "received_at": 15, "interval_ms": None}
    state = {"actuator": "led", "state": "ON", "since": 20, "unit": None}
    assert heard(snapshot, None) == [
        ("presence", "1764000000000-0", {"device": "kitchen"} | presence),
        ("reading", None, {"device": "kitchen"} | reading),
        ("state", "1764000000000-4", {"device": "kitchen"} | state),
    ]


def test_only_what_changed_is_told_and_its_last_event_has_the_id() -> None:
    snapshot = after(StatusChange("a", True, 1), temperature("a", 10, 1.0), temperature("b", 10, 2.0))
    snapshot = apply(snapshot, [temperature("b", 20, 3.0), StateChange("b", "led", "OFF", 21)])
    reading, state = heard(snapshot, 3)
    assert (reading[0], reading[1], reading[2]["value"], reading[2]["interval_ms"]) == ("reading", None, 3.0, 10)
    assert (state[0], state[1], state[2]["state"]) == ("state", "1764000000000-4", "OFF")


def test_a_device_that_goes_away_is_told_without_its_readings() -> None:
    snapshot = after(StatusChange("a", True, 1), temperature("a", 10, 1.0), StatusChange("a", False, 20))
    ((name, identity, data),) = heard(snapshot, 2)
    assert (name, identity, data["online"], data["last_seen"]) == ("presence", "1764000000000-3", False, 20)


def test_how_much_a_device_sends_is_told_with_its_presence() -> None:
    snapshot = after(*(temperature("a", seconds * 1_000, 1.0) for seconds in (0, 5, 10, 15, 20)))
    assert [data["readings_per_minute"] for name, _, data in heard(snapshot, 3) if name == "presence"] == [12.0]
    assert [name for name, _, _ in heard(snapshot, 4)] == ["reading"]


def test_nothing_changed_is_nothing_told() -> None:
    snapshot = after(temperature("a", 10, 1.0))
    assert list(flush(snapshot, 1)) == []


def test_what_no_event_tells_is_nothing_told() -> None:
    snapshot = after(StatusChange("a", True, 1), StatusChange("a", True, 9))
    assert snapshot.devices["a"].version == 2
    assert list(flush(snapshot, 1)) == []


def test_a_state_of_one_event_still_has_both_ids() -> None:
    snapshot = after(StatusChange("a", True, 1))
    assert ids(snapshot, None) == ["1764000000000-0", "1764000000000-1"]


def test_no_devices_are_an_id_alone() -> None:
    assert b"".join(flush(EMPTY, None)) == b"id: 1764000000000-0\n\n"


def test_devices_come_by_name() -> None:
    snapshot = after(temperature("b", 1, 1.0), temperature("a", 1, 1.0))
    assert [data["device"] for name, _, data in heard(snapshot, None) if name == "presence"] == ["a", "b"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_large_fleet_comes_in_slices_that_say_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = apply(EMPTY, [temperature(f"device-{number}", 1, float(number)) for number in range(7)])
    snapshot = apply(snapshot, [StatusChange("device-6", False, 1)])
    snapshot = apply(snapshot, [temperature(f"device-{number}", 9, 9.0) for number in range(3)])
    # The last of these has nothing to say, so the id is with the one before it.
    snapshot = apply(snapshot, [StatusChange("device-6", False, 9)])
    whole, changes = heard(snapshot, None), heard(snapshot, 2)

    monkeypatch.setattr(events, "SLICE", size)

    assert len(list(flush(snapshot, None))) == -(-7 // size)
    assert sorted(map(repr, (data for _, _, data in heard(snapshot, None)))) == sorted(
        map(repr, (d for *_, d in whole))
    )
    assert ids(snapshot, None) == ["1764000000000-0", *[None] * 12, "1764000000000-4"]
    assert heard(snapshot, 2) == changes
    assert ids(snapshot, 2) == [None, None, "1764000000000-4"]


def test_an_event_on_the_wire_is_one_line_of_json_whatever_the_names_hold() -> None:
    snapshot = apply(EMPTY, [ReadingChange("site1/kitchen", "a\nb\r\u2028", 1, 0.1, 2)])
    lines = b"".join(flush(snapshot, None)).decode().split("\n")
    assert lines[3:5] == ["", "event: reading"]
    assert lines[6:] == ["id: 1764000000000-1", "", ""]
    assert json.loads(lines[5].removeprefix("data: ")) == {
        "device": "site1/kitchen",
        "metric": "a\nb\r\u2028",
        "unit": None,
        "ts": 1,
        "value": 0.1,
        "received_at": 2,
        "interval_ms": None,
    }


KITCHEN = Command(
    "5b0e",
    "kitchen",
    "led",
    "ON",
    "published",
    "anna",
    "192.0.2.7",
    5,
    60_005,
    (Step("queued", 5, "It was asked for."), Step("published", 9, "The broker has it.")),
)


def test_a_command_is_told_with_its_steps_and_without_who_asked() -> None:
    snapshot = with_commands(after(StatusChange("kitchen", True, 1)), [KITCHEN], 0)
    ((name, identity, data),) = heard(snapshot, 1)
    assert (name, identity) == ("command", "1764000000000-2")
    assert data == {
        "id": "5b0e",
        "device": "kitchen",
        "actuator": "led",
        "state": "ON",
        "status": "published",
        "made_at": 5,
        "deadline_at": 60_005,
        "steps": [
            {"status": "queued", "at": 5, "evidence": "It was asked for."},
            {"status": "published", "at": 9, "evidence": "The broker has it."},
        ],
    }
    assert [name for name, _, _ in heard(snapshot, None)] == ["presence", "command"]
    assert ids(snapshot, None) == ["1764000000000-0", "1764000000000-2"]
    assert heard(snapshot, 2) == []
    assert b"anna" not in b"".join(flush(snapshot, None))


def test_only_commands_are_an_id_each_and_the_whole_state() -> None:
    snapshot = with_commands(EMPTY, [KITCHEN, replace(KITCHEN, id="9c1d")], 0)
    assert ids(snapshot, None) == ["1764000000000-0", "1764000000000-1"]
    assert ids(with_commands(EMPTY, [KITCHEN], 0), None) == ["1764000000000-0", "1764000000000-1"]


def test_who_knows_a_device_that_was_deleted_begins_anew() -> None:
    snapshot = without(after(temperature("a", 1, 1.0), temperature("b", 1, 1.0)), {"a": 100})
    assert snapshot.version == 3
    for since in (1, 2):
        assert [(name, data["device"]) for name, _, data in heard(snapshot, since)] == [
            ("presence", "b"),
            ("reading", "b"),
        ]
        assert ids(snapshot, since) == ["1764000000000-0", "1764000000000-3"]
    assert heard(snapshot, 3) == []


def test_the_end_says_why() -> None:
    assert end() == b'event: end\ndata: {"reason":"stopping"}\n\n'


def test_a_client_resumes_from_an_id_of_this_process_alone() -> None:
    snapshot = after(temperature("a", 1, 1.0), temperature("a", 2, 2.0))
    assert resume_from("1764000000000-1", snapshot) == 1
    assert resume_from("1764000000000-2", snapshot) == 2
    for other in (None, "", "1764000000000-0", "1764000000000-3", "1763999999999-1", "x-1", "1764000000000-1-1", "-1"):
        assert resume_from(other, snapshot) is None
