"""A device with a switch and a fan, and somebody who asks for something."""

from __future__ import annotations

from db import commands, devices
from db.commands import Command
from db.devices import About, ActuatorAbout
from db.engine import Engine, reading, writing
from db.rights import Actor, Origin
from tests.db.conftest import NOW

KEY = b"k" * 32
ANNA = Actor("anna", "operator", Origin("192.0.2.7"))
FAN = ActuatorAbout("fan", 0.0, 100.0, 5.0, "%")


def make_actuators(engine: Engine, *names: str) -> None:
    """Devices with a switch `led` and a `fan` from 0 to 100 %."""
    with writing(engine) as connection:
        ids = devices.ensure(connection, names, NOW)
        for name in names:
            about = About(name, None, None, (ActuatorAbout("led"), FAN), {})
            devices.store_about(connection, ids[name], about, NOW)


def ask(
    engine: Engine,
    order: str | float = "ON",
    actuator: str = "led",
    at: int = NOW,
    *,
    device: str = "kitchen",
    by: Actor = ANNA,
    most_open: int = commands.MOST_OPEN,
) -> Command:
    """Ask for something, for 60 s."""
    with writing(engine) as connection:
        return commands.request(
            connection, KEY, device, actuator, order, by=by, at=at, deadline_ms=60_000, most_open=most_open
        )


def found(engine: Engine, command: Command) -> Command:
    """The same as it is now."""
    with reading(engine) as connection:
        now = commands.find(connection, command.id)
    assert now is not None
    return now


def path(engine: Engine, command: Command) -> list[str]:
    """The statuses it has come through."""
    return [step.status for step in found(engine, command).steps]
