"""Who asks for things of a worker that sends commands."""

from __future__ import annotations

from sqlalchemy import text

from db import commands, devices
from db.commands import Command
from db.engine import reading, writing
from db.rights import Actor, Origin
from ingest.vitals import now_ms
from tests.ingest.worker import KEY, Worker
from tests.parts.eventually import eventually

_ROW = text("SELECT status, report FROM commands WHERE id = :id")
_HASTEN = text("UPDATE commands SET deadline_at = :now WHERE id = :id")
ANNA = Actor("anna", "operator", Origin("192.0.2.7"))


class Desk:
    """A worker that sends commands, and who asks for them."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def ask(self, order: str | float = "ON", *, deadline_ms: int = 20_000, nudge: bool = True, **more: str) -> Command:
        device, actuator = more.get("device", "d"), more.get("actuator", "led")
        with writing(self.worker.database) as connection:
            made = commands.request(
                connection, KEY, device, actuator, order, by=ANNA, at=now_ms(), deadline_ms=deadline_ms
            )
        if nudge:
            self.worker.service.nudge_commands()
        return made

    def now(self, command: Command) -> Command:
        with reading(self.worker.database) as connection:
            found = commands.find(connection, command.id)
        assert found is not None
        return found

    def ends(self, command: Command) -> Command:
        """Wait for its end."""

        def ended() -> Command | None:
            found = self.now(command)
            return None if found.open else found

        found = eventually(ended, what="the command's end")
        assert found is not None
        return found

    def path(self, command: Command) -> list[str]:
        return [step.status for step in self.now(command).steps]

    def shown(self, command: Command) -> str | None:
        """Its status on the board."""
        known = self.worker.board.current.commands.get(command.id)
        return known.command.status if known is not None else None

    def hasten(self, command: Command, report: str | None = None) -> Command:
        """Have its deadline pass once it is published and the device has reported this; its end."""

        def is_there() -> bool:
            with writing(self.worker.database) as connection:
                row = connection.execute(_ROW, {"id": command.id}).one()
                if (row.status, row.report) != ("published", report):
                    return False
                connection.execute(_HASTEN, {"id": command.id, "now": now_ms()})
                return commands.move(connection, command.id, "published", "Its deadline was moved.", now_ms())

        eventually(is_there, what="a published command")
        return self.ends(command)

    def is_stored(self, name: str = "d") -> bool:
        """Whether the device and its LED's state are in the database."""
        with reading(self.worker.database) as connection:
            return any((one.device, one.state) == (name, "OFF") for one in devices.every_actuator(connection))

    def knows(self, name: str = "d", state: str | None = "OFF") -> bool:
        """Whether the device is on the board with this state of its LED."""
        device = self.worker.board.current.devices.get(name)
        return device is not None and "led" in device.actuators and device.actuators["led"].state == state
