"""What is said of a device, on the board."""

from __future__ import annotations

from db.places import Place
from ingest.placing import Described, with_description
from ingest.snapshot import AboutChange, ReadingChange, Snapshot, StateChange, apply
from ingest.standing import without

EMPTY = Snapshot(1, 0, {})
KITCHEN = apply(
    EMPTY,
    [
        AboutChange("kitchen", "esp", "1.0", {"temperature": "C"}, {"led": None, "fan": "%"}, 5),
        ReadingChange("kitchen", "temperature", 10, 21.5, 11),
        StateChange("kitchen", "led", "ON", 12),
    ],
)


def described(**changes: object) -> Described:
    given = {
        "place": Place("kitchen", "Kitchen"),
        "last_seen": 12,
        "units": {"temperature": "°C"},
        "actuators": {"led": None, "fan": "%"},
    }
    return Described(**(given | changes))  # type: ignore[arg-type]


def test_a_name_and_units_leave_the_rest_as_it_was() -> None:
    after = with_description(KITCHEN, described())
    before, now = KITCHEN.devices["kitchen"], after.devices["kitchen"]
    assert (after.version, after.places["kitchen"].shown_name) == (2, "Kitchen")
    assert (now.version, now.presence_version) == (2, 2)
    assert (now.metrics["temperature"].unit, now.metrics["temperature"].version) == ("°C", 2)
    assert now.metrics["temperature"].value == 21.5
    assert now.actuators == before.actuators
    assert (now.model, now.online, now.last_seen, now.presence) == (
        before.model,
        before.online,
        before.last_seen,
        before.presence,
    )
    assert (after.control_version, after.left_version) == (KITCHEN.control_version, KITCHEN.left_version)


def test_a_unit_is_taken_away() -> None:
    after = with_description(KITCHEN, described(units={}))
    assert after.devices["kitchen"].metrics["temperature"].unit is None
    assert after.devices["kitchen"].units == {}


def test_an_actuator_more_is_told_as_control() -> None:
    after = with_description(KITCHEN, described(actuators={"led": None, "fan": "%", "pump": "l"}))
    pump = after.devices["kitchen"].actuators["pump"]
    assert (pump.state, pump.unit, pump.version) == (None, "l", 2)
    assert (after.control_version, after.left_version) == (2, 0)


def test_an_actuator_less_lets_streams_begin_anew() -> None:
    after = with_description(KITCHEN, described(actuators={"fan": "%"}))
    assert set(after.devices["kitchen"].actuators) == {"fan"}
    assert (after.control_version, after.left_version) == (2, 2)


def test_a_device_that_is_new_or_was_deleted_is_there() -> None:
    deleted = without(KITCHEN, {"kitchen": 100})
    assert deleted.devices == {}
    for before in (EMPTY, deleted):
        after = with_description(before, described(last_seen=7, actuators={"led": None}))
        device = after.devices["kitchen"]
        assert (device.last_seen, device.presence, device.metrics) == (7, "unknown", {})
        assert device.actuators["led"].state is None
        assert after.removed == {}
