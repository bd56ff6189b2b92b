"""A device with actuators, as the database and the board know it, and what is asked of them."""

from __future__ import annotations

from db import commands, devices
from db.commands import Command
from db.devices import About, ActuatorAbout
from db.engine import reading, writing
from ingest.vitals import now_ms
from tests.api.people import ROOT
from tests.api.server import Place

LED = ActuatorAbout("led")
FAN = ActuatorAbout("fan", 0.0, 100.0, 1.0, "%")


def furnish(place: Place, device: str = "kitchen", *, state: str | None = None) -> None:
    """Make this device with a led and a fan; the led says `state`."""
    with writing(place.runtime.engine) as connection:
        device_id = devices.ensure(connection, [device], now_ms())[device]
        devices.store_about(connection, device_id, About(device, None, None, (LED, FAN), {}), now_ms())
        if state is not None:
            devices.store_state(connection, device_id, devices.ActuatorState(device, "led", state, None), now_ms())
    place.restore()


def queued(place: Place, device: str = "kitchen", actuator: str = "led", order: str | float = "ON") -> Command:
    """A command that an admin asked for."""
    return place.runtime.order(ROOT, device, actuator, order)


def kept(place: Place, command_id: str) -> Command:
    """The command as the database has it."""
    with reading(place.runtime.engine) as connection:
        found = commands.find(connection, command_id)
    assert found is not None
    return found
