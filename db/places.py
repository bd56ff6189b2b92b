"""What people say of devices: their names, where they stand, notes, units, whether pages leave them out; actuators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select, update

from db import audit, commands
from db import devices as device_rows
from db.audit import Entry
from db.devices import ActuatorAbout
from db.rights import Actor, BadField, Conflict, storable
from db.schema import actuators, devices, series
from db.targets import UnknownTarget

_LONGEST: Final = {"label": 128, "site": 64, "area": 64, "notes": 1000}
_WORDS: Final = {"label": "A display name", "site": "A site", "area": "An area", "notes": "Notes"}
_LONGEST_UNIT: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """What was said of a device; None where nothing was."""

    device: str
    label: str | None = None
    site: str | None = None
    area: str | None = None
    notes: str | None = None
    hidden: bool = False

    @property
    def shown_name(self) -> str:
        """How pages call it."""
        return self.label or self.device


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """What is to be said from now on. None leaves it as it is, and an empty text takes it away."""

    label: str | None = None
    site: str | None = None
    area: str | None = None
    notes: str | None = None
    hidden: bool | None = None


_QUERY: Select[Any] = (
    select(devices.c.name, devices.c.label, devices.c.site, devices.c.area, devices.c.notes, devices.c.hidden)
    .where(device_rows.THERE)
    .order_by(devices.c.name)
)


def every(connection: Connection) -> dict[str, Place]:
    """What was said of each device that there is, by name."""
    return {row.name: _place(row) for row in connection.execute(_QUERY)}


def of(connection: Connection, device: str) -> Place | None:
    """What was said of a device, None if there is none of that name."""
    row = connection.execute(_QUERY.where(devices.c.name == device)).one_or_none()
    return None if row is None else _place(row)


def _place(row: Any) -> Place:
    return Place(row.name, row.label, row.site, row.area, row.notes, bool(row.hidden))


def change(connection: Connection, key: bytes, device: str, changes: PlaceChange, *, by: Actor, at: int) -> Place:
    """Say something of a device, and record it: the last statement of a transaction. The caller knows that `by` may.

    `key`: of the audit log, `doors.key("audit")`. `at`: UTC ms.

    Raises:
        UnknownTarget: If there is no such device.
        BadField: If a text is too long, or has characters that can't be seen.
    """
    given = {field.name: value for field in fields(changes) if (value := getattr(changes, field.name)) is not None}
    values = {name: int(value) if name == "hidden" else _checked(name, value) for name, value in given.items()}
    _there(connection, device)
    if values:
        connection.execute(update(devices).where(devices.c.name == device).values(**values))
    place = of(connection, device)
    if place is None:
        raise UnknownTarget("device", f"There is no device {storable(device, 191)}.")
    said = {name: value for name, value in asdict(place).items() if name in given}
    detail = ", ".join(f"{name}: {'' if value is None else value}" for name, value in said.items())
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "device.change", device, "ok", detail))
    return place


def make(connection: Connection, key: bytes, device: str, changes: PlaceChange, *, by: Actor, at: int) -> Place:
    """Make a device that has not sent anything yet, and record it, as `change` does.

    The caller has made sure that its name is one for a topic. One that was deleted is there again, without its data.

    Raises:
        Conflict: If there is such a device.
        BadField: As `change`.
    """
    known = connection.scalar(select(devices.c.id).where(devices.c.name == device, device_rows.THERE))
    if known is not None:
        raise Conflict(f"There is a device {device} already.")
    device_rows.bring_back(connection, [device_rows.ensure(connection, [device], at, heard=False)[device]])
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "device.make", device, "ok", ""))
    return change(connection, key, device, changes, by=by, at=at)


def set_units(connection: Connection, key: bytes, device: str, units: Mapping[str, str], *, by: Actor, at: int) -> None:
    """Say what some metrics of a device are measured in, and record it, as `change` does. An empty text takes it away.

    Raises UnknownTarget, BadField (`units`).
    """
    device_id = _there(connection, device)
    known = {row.metric: row.id for row in connection.execute(select(series).where(series.c.device_id == device_id))}
    for metric, unit in units.items():
        if metric not in known:
            raise BadField("units", f"{device} has no metric {storable(metric, 128)}.")
        if len(unit) > _LONGEST_UNIT or not unit.isprintable():
            raise BadField("units", f"A unit has at most {_LONGEST_UNIT} characters that can be seen.")
    if units:
        rows = [{"of": known[metric], "to": unit.strip() or None} for metric, unit in sorted(units.items())]
        connection.execute(update(series).where(series.c.id == bindparam("of")).values(unit=bindparam("to")), rows)
    detail = ", ".join(f"unit of {metric}: {unit}" for metric, unit in sorted(units.items()))
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "device.change", device, "ok", detail))


def add_actuator(
    connection: Connection, key: bytes, device: str, actuator: ActuatorAbout, *, by: Actor, at: int
) -> None:
    """Give a device an actuator that it does not tell of itself, or another range, and record it, as `change` does.

    The caller has made sure that its name is one for a topic. Raises UnknownTarget, BadField.
    """
    device_id = _there(connection, device)
    low, high = actuator.minimum, actuator.maximum
    if low is not None and high is not None and low >= high:
        raise BadField("min", "The least number is smaller than the greatest.")
    if actuator.unit is not None and (len(actuator.unit) > _LONGEST_UNIT or not actuator.unit.isprintable()):
        raise BadField("unit", f"A unit has at most {_LONGEST_UNIT} characters that can be seen.")
    device_rows.store_actuator(connection, device_id, actuator)
    subject = f"{device}/{actuator.name}"
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "actuator.set", subject, "ok", ""))


def remove_actuator(connection: Connection, key: bytes, device: str, actuator: str, *, by: Actor, at: int) -> None:
    """Take an actuator off, and record it; one that its device tells of comes back. Raises UnknownTarget."""
    device_id = _there(connection, device)
    mine = (actuators.c.device_id == device_id, actuators.c.name == actuator)
    if connection.scalar(select(actuators.c.id).where(*mine)) is None:
        raise UnknownTarget("actuator", f"{device} has no actuator {storable(actuator, 64)}.")
    device_rows.forget_actuators(connection, device_id, actuator)
    commands.fail_open(connection, device, f"{device} has no {actuator} any more.", at, actuator=actuator)
    subject = f"{device}/{actuator}"
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "actuator.remove", subject, "ok", ""))


def _there(connection: Connection, device: str) -> int:
    """Its id. Raises UnknownTarget."""
    device_id = connection.scalar(select(devices.c.id).where(devices.c.name == device, device_rows.THERE))
    if device_id is None:
        raise UnknownTarget("device", f"There is no device {storable(device, 191)}.")
    return int(device_id)


def _checked(name: str, text: str) -> str | None:
    """As it is stored. Raises BadField."""
    words = text.strip()
    seen = words.replace("\n", "") if name == "notes" else words
    if len(words) > _LONGEST[name] or not seen.isprintable():
        raise BadField(name, f"{_WORDS[name]} has at most {_LONGEST[name]} characters that can be seen.")
    return words or None
