from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from db.commands import Command, Step
from db.devices import Actuator
from ingest.snapshot import AboutChange, Change, CommandNow, Snapshot, StateChange, apply
from pages.parts.controls import Answer, Press, data_of, presses_of
from pages.parts.places import Named

NOW = 1_764_000_000_000
ID = "0f9f2f0e-94f8-4b0f-8b6e-5f5b3d7d9f10"
GOOD: dict[str, Any] = {"id": ID, "device": "kitchen", "actuator": "led", "order": "ON"}


def test_a_press_is_what_our_script_sends() -> None:
    assert presses_of([GOOD, GOOD | {"order": 40}]) == [
        Press(ID, "kitchen", "led", "ON"),
        Press(ID, "kitchen", "led", 40.0),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "ON",
        {"id": ID},
        [GOOD | {"order": "TOGGLE"}],
        [GOOD | {"order": True}],
        [GOOD | {"order": None}],
        [GOOD | {"device": 7}],
        [GOOD | {"device": ""}],
        [GOOD | {"actuator": "x" * 65}],
        [GOOD | {"id": "short"}],
        [GOOD | {"by": "somebody else"}],
    ],
)
def test_anything_else_from_a_browser_is_no_press(sent: Any) -> None:
    assert presses_of(sent) == []


def test_no_more_presses_are_taken_than_there_can_be() -> None:
    assert len(presses_of([GOOD] * 5_000)) == 1_000


def house() -> Snapshot:
    changes: list[Change] = [
        AboutChange("kitchen", None, None, {}, {"fan": "%"}, NOW),
        StateChange("kitchen", "led", "OFF", NOW),
        AboutChange("attic", "x", None, {}, {}, NOW),
    ]
    return apply(Snapshot(1, 0, {}), changes)


def test_the_page_knows_ranges_names_and_places_and_leaves_out_devices_without_actuators() -> None:
    fan = Actuator("kitchen", "fan", 0.0, 100.0, 5.0, "%", None, None)
    names = {"kitchen": Named("The kitchen", "house", False), "attic": Named(hidden=True)}

    data = data_of(house(), [fan], names, None, [], may=False, now=NOW, zone="UTC")

    (device,) = data["devices"]
    assert (device["title"], device["area"], data["hidden"]) == ("The kitchen", "house", ["attic"])
    found = {
        one["actuator"]: (one["state"], one["minimum"], one["maximum"], one["step"]) for one in device["actuators"]
    }
    assert found == {"fan": (None, 0.0, 100.0, 5.0), "led": ("OFF", None, None, None)}
    assert (data["commands"], data["commands_shown"], data["may"]) == ([], False, False)


def test_a_browser_is_not_told_from_which_address_a_command_came() -> None:
    step = Step("queued", NOW, "Asked for by anna.")
    made = Command(ID, "kitchen", "led", "ON", "queued", "anna", "192.0.2.7", NOW, NOW + 60_000, (step,))

    data = data_of(house(), [], {}, [made], [Answer(ID, made.id, None)], may=True, now=NOW, zone="UTC")

    assert "192.0.2.7" not in str(data)
    assert list(data["commands"][0]["steps"]) == [{"status": "queued", "at": NOW, "evidence": "Asked for by anna."}]
    assert data["commands"][0]["by"] == "anna"
    assert data["answers"] == [{"press": ID, "command": made.id, "problem": None}]


def test_whoever_may_not_know_who_asked_still_sees_what_goes_on() -> None:
    step = Step("queued", NOW, "It was asked for.")
    made = Command(ID, "kitchen", "led", "ON", "queued", "anna", "192.0.2.7", NOW, NOW + 60_000, (step,))
    snapshot = replace(house(), commands={ID: CommandNow(made, 7)})

    (shown,) = data_of(snapshot, [], {}, None, [], may=False, now=NOW, zone="UTC")["commands"]

    assert (shown["id"], shown["by"], shown["status"]) == (ID, None, "queued")
