from __future__ import annotations

import pytest

from db import audit, commands, devices, places
from db.devices import ActuatorAbout
from db.engine import Engine, reading, writing
from db.places import Place, PlaceChange
from db.rights import BadField
from db.targets import UnknownTarget
from tests.db.conftest import NOW
from tests.db.orders import ANNA, KEY, ask, found, make_actuators


def change(engine: Engine, changes: PlaceChange, device: str = "kitchen") -> Place:
    with writing(engine) as connection:
        return places.change(connection, KEY, device, changes, by=ANNA, at=NOW)


def actions(engine: Engine) -> list[tuple[str, str, str]]:
    with reading(engine) as connection:
        entries = [one.entry for one in audit.search(connection)]
    return [(entry.action, entry.subject, entry.detail) for entry in entries]


def test_what_is_said_of_a_device_is_kept_and_recorded(engine: Engine, kitchen: int) -> None:
    assert kitchen
    place = change(engine, PlaceChange(label=" Küche ", site="Home", notes="By the\nwindow"))
    assert place == Place("kitchen", "Küche", "Home", None, "By the\nwindow", hidden=False)
    assert place.shown_name == "Küche"
    assert change(engine, PlaceChange(label="", area="North", hidden=True)).shown_name == "kitchen"
    with reading(engine) as connection:
        assert places.of(connection, "kitchen") == Place("kitchen", None, "Home", "North", "By the\nwindow", True)
        assert list(places.every(connection)) == ["kitchen"]
        assert places.of(connection, "no such") is None
    assert actions(engine)[0] == ("device.change", "kitchen", "label: , area: North, hidden: True")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (PlaceChange(label="x" * 129), "label"),
        (PlaceChange(site="a\nb"), "site"),
        (PlaceChange(area="\0"), "area"),
        (PlaceChange(notes="x" * 1001), "notes"),
        (PlaceChange(notes="\x1b[31m"), "notes"),
    ],
)
def test_what_can_not_be_said_is_refused(engine: Engine, kitchen: int, changes: PlaceChange, field: str) -> None:
    assert kitchen
    with pytest.raises(BadField) as refused:
        change(engine, changes)
    assert refused.value.field == field
    assert actions(engine) == []


def test_nothing_is_said_of_what_is_not_there(engine: Engine) -> None:
    with pytest.raises(UnknownTarget, match="There is no device attic"):
        change(engine, PlaceChange(label="x"), "attic")


def test_units_are_set_of_metrics_that_there_are(engine: Engine, kitchen: int, temperature: int) -> None:
    assert kitchen
    assert temperature
    for unit in ("°C", ""):
        with writing(engine) as connection:
            places.set_units(connection, KEY, "kitchen", {"temperature": unit}, by=ANNA, at=NOW)
            assert devices.every_series(connection)[0].unit == (unit or None)
    for units in ({"pressure": "hPa"}, {"temperature": "x" * 33}):
        with writing(engine) as connection, pytest.raises(BadField):
            places.set_units(connection, KEY, "kitchen", units, by=ANNA, at=NOW)


def test_an_actuator_is_given_by_hand_and_taken_off_with_what_waits_for_it(engine: Engine) -> None:
    make_actuators(engine, "kitchen")
    pump = ActuatorAbout("pump", 0.0, 10.0, None, "l/min")
    with writing(engine) as connection:
        places.add_actuator(connection, KEY, "kitchen", pump, by=ANNA, at=NOW)
    made, led = ask(engine, 5, "pump"), ask(engine)
    with writing(engine) as connection:
        places.remove_actuator(connection, KEY, "kitchen", "pump", by=ANNA, at=NOW)
    assert found(engine, made).steps[-1] == commands.Step("failed", NOW, "kitchen has no pump any more.")
    assert found(engine, led).open
    with reading(engine) as connection:
        assert [actuator.name for actuator in devices.every_actuator(connection)] == ["fan", "led"]
    with writing(engine) as connection, pytest.raises(UnknownTarget):
        places.remove_actuator(connection, KEY, "kitchen", "pump", by=ANNA, at=NOW)
    with writing(engine) as connection, pytest.raises(BadField):
        places.add_actuator(connection, KEY, "kitchen", ActuatorAbout("pump", 9.0, 1.0), by=ANNA, at=NOW)
