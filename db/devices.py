"""Devices, what they have, and what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, case, delete, or_, select, text, update

from db import states
from db.schema import actuators, devices, series
from db.statements import in_chunks, insert_ignore

#: Of some 25 bytes each, so that a server with the smallest max_allowed_packet we meet takes them.
_SEEN_A_STATEMENT: Final = 2_000
#: In this order of the two, whatever the optimiser makes of a small table: read through, it is locked row by row, and
#: who makes a new device meets that in a deadlock.
_MOVE_LAST_SEEN: Final = text(
    "UPDATE JSON_TABLE(:seen, '$[*]' COLUMNS (id BIGINT PATH '$[0]', at BIGINT PATH '$[1]')) AS s "
    "STRAIGHT_JOIN devices AS d FORCE INDEX (PRIMARY) ON d.id = s.id "
    "SET d.last_seen = s.at WHERE d.last_seen < s.at"
)
#: A device that is there: it was not deleted, or was heard of after that.
THERE: Final = or_(devices.c.removed_at.is_(None), devices.c.last_seen > devices.c.removed_at)


@dataclass(frozen=True, slots=True)
class Status:
    """A device's `online` or `offline`."""

    device: str
    online: bool


@dataclass(frozen=True, slots=True)
class ActuatorAbout:
    """An actuator as its device describes it; a switch has no range."""

    name: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a device says of itself. None and empty leave what is known as it is."""

    device: str
    model: str | None
    firmware: str | None
    actuators: tuple[ActuatorAbout, ...]
    units: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ActuatorState:
    """What an actuator does, reported by its device: ON, OFF or a number as text."""

    device: str
    actuator: str
    state: str
    command_id: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A row of `devices`. Times are UTC ms; `online` None: it never told."""

    id: int
    name: str
    model: str | None
    firmware: str | None
    online: bool | None
    status_at: int | None
    last_seen: int
    boot: str | None
    boot_seq: int | None


@dataclass(frozen=True, slots=True)
class Actuator:
    """A row of `actuators` with its device's name."""

    device: str
    name: str
    minimum: float | None
    maximum: float | None
    step: float | None
    unit: str | None
    state: str | None
    state_at: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of a device."""

    id: int
    device: str
    metric: str
    unit: str | None
    name: str | None


def every(connection: Connection, *, deleted: bool = False) -> list[Device]:
    """All devices that there are, by name; with `deleted` also those that were deleted, which keep their ids."""
    columns = (
        devices.c.id,
        devices.c.name,
        devices.c.model,
        devices.c.firmware,
        devices.c.online,
        devices.c.status_at,
        devices.c.last_seen,
        devices.c.boot,
        devices.c.boot_seq,
    )
    query = select(*columns).order_by(devices.c.name)
    return [_device(row) for row in connection.execute(query if deleted else query.where(THERE))]


def _device(row: Any) -> Device:
    online = None if row.online is None else bool(row.online)
    return Device(
        row.id, row.name, row.model, row.firmware, online, row.status_at, row.last_seen, row.boot, row.boot_seq
    )


def every_series(connection: Connection, device: str | None = None, *, deleted: bool = False) -> list[Series]:
    """All series, or one device's, by device and metric; with `deleted` also those of devices that were deleted."""
    query = (
        select(series.c.id, devices.c.name.label("device"), series.c.metric, series.c.unit, series.c.name)
        .join(devices, devices.c.id == series.c.device_id)
        .order_by(devices.c.name, series.c.metric)
    )
    if device is not None:
        query = query.where(devices.c.name == device)
    if not deleted:
        query = query.where(THERE)
    return [Series(row.id, row.device, row.metric, row.unit, row.name) for row in connection.execute(query)]


def every_actuator(connection: Connection) -> list[Actuator]:
    """All actuators, by device and name."""
    query = (
        select(
            devices.c.name.label("device"),
            actuators.c.name,
            actuators.c.minimum,
            actuators.c.maximum,
            actuators.c.step,
            actuators.c.unit,
            actuators.c.state,
            actuators.c.state_at,
        )
        .join(devices, devices.c.id == actuators.c.device_id)
        .where(THERE)
        .order_by(devices.c.name, actuators.c.name)
    )
    return [Actuator(*row) for row in connection.execute(query)]


def last_seen(connection: Connection, name: str) -> int | None:
    """UTC ms of a device's last message of any kind, None where there is no such device."""
    return connection.scalar(select(devices.c.last_seen).where(devices.c.name == name))


def ensure(connection: Connection, names: Sequence[str], now_ms: int, *, heard: bool = True) -> dict[str, int]:
    """Ids of these devices; those that are new are made: they were `heard` just now, or somebody makes them by hand."""
    known = ids(connection, names)
    missing = sorted(set(names) - known.keys())
    if missing:
        rows = [{"name": name, "last_seen": now_ms if heard else 0, "created_at": now_ms} for name in missing]
        connection.execute(insert_ignore(devices), rows)
        known |= ids(connection, missing)
    return known


def ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Ids of these devices, as far as they are stored."""
    found: dict[str, int] = {}
    for chunk in in_chunks(names, 500):
        query = select(devices.c.name, devices.c.id).where(devices.c.name.in_(chunk))
        found.update((row.name, row.id) for row in connection.execute(query))
    return found


def bring_back(connection: Connection, device_ids: Sequence[int]) -> None:
    """Devices of these ids are there, whether they had been deleted or not: they are given readings by hand."""
    for chunk in in_chunks(device_ids, 500):
        gone = (devices.c.id.in_(chunk), devices.c.removed_at.is_not(None))
        connection.execute(update(devices).where(*gone).values(removed_at=None))


def ensure_series(connection: Connection, wanted: Iterable[tuple[int, str]], now_ms: int) -> dict[tuple[int, str], int]:
    """Ids of these (device id, metric); those that are new are made. A few statements, however many devices."""
    keys = set(wanted)
    known = _series_ids(connection, {device_id for device_id, _ in keys})
    missing = sorted(keys - known.keys())
    if missing:
        rows = [{"device_id": device_id, "metric": metric, "created_at": now_ms} for device_id, metric in missing]
        connection.execute(insert_ignore(series), rows)
        known |= _series_ids(connection, {device_id for device_id, _ in missing})
    return {key: known[key] for key in keys}


def _series_ids(connection: Connection, device_ids: Iterable[int]) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for chunk in in_chunks(sorted(device_ids), 500):
        query = select(series.c.device_id, series.c.metric, series.c.id).where(series.c.device_id.in_(chunk))
        found.update(((row.device_id, row.metric), row.id) for row in connection.execute(query))
    return found


def store_status(connection: Connection, device_id: int, status: Status, at: int, *, retained: bool = False) -> None:
    """Remember what the device's status said at `at` (UTC ms).

    A `retained` one that says what is known already is that same old one, and moves no time.
    """
    statement = update(devices).where(devices.c.id == device_id)
    if retained:
        statement = statement.where(devices.c.online.is_distinct_from(int(status.online)))
    connection.execute(statement.values(online=int(status.online), status_at=at))


def store_about(connection: Connection, device_id: int, about: About, at: int) -> None:
    """Remember what the device says of itself: its fields, its units, its actuators."""
    fields = {"model": about.model, "firmware": about.firmware}
    given = {name: value for name, value in fields.items() if value is not None}
    if given:
        connection.execute(update(devices).where(devices.c.id == device_id).values(**given))
    if about.units:
        ids = ensure_series(connection, [(device_id, metric) for metric in about.units], at)
        rows = [{"of": ids[device_id, metric], "to": unit} for metric, unit in sorted(about.units.items())]
        connection.execute(update(series).where(series.c.id == bindparam("of")).values(unit=bindparam("to")), rows)
    for actuator in about.actuators:
        store_actuator(connection, device_id, actuator)


def store_actuator(connection: Connection, device_id: int, actuator: ActuatorAbout) -> None:
    """Remember an actuator and its range; what it reported stays."""
    _ensure_actuator(connection, device_id, actuator.name)
    connection.execute(
        update(actuators)
        .where(actuators.c.device_id == device_id, actuators.c.name == actuator.name)
        .values(minimum=actuator.minimum, maximum=actuator.maximum, step=actuator.step, unit=actuator.unit)
    )


def store_state(connection: Connection, device_id: int, state: ActuatorState, at: int) -> str | None:
    """Remember what the actuator reported at `at` (UTC ms); what it had reported before, None for a first time.

    `state_at` moves, and the history of states grows, only when the state changes.
    """
    mine = (actuators.c.device_id == device_id, actuators.c.name == state.actuator)
    query = select(actuators.c.id, actuators.c.state).where(*mine).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        _ensure_actuator(connection, device_id, state.actuator)
        row = connection.execute(query).one()
    connection.execute(
        update(actuators)
        .where(actuators.c.id == row.id)
        .ordered_values(  # `state_at` first: MySQL sets columns in order, and it must see the state that was
            (actuators.c.state_at, case((actuators.c.state == state.state, actuators.c.state_at), else_=at)),
            (actuators.c.state, state.state),
            (actuators.c.command_id, state.command_id),
        )
    )
    if row.state != state.state:
        states.store(connection, row.id, state.state, at)
    before: str | None = row.state
    return before


def forget_actuators(connection: Connection, device_id: int, name: str | None = None) -> None:
    """Delete an actuator of a device, or all of them, with the history of its states."""
    mine = [actuators.c.device_id == device_id, *([] if name is None else [actuators.c.name == name])]
    for actuator_id in connection.scalars(select(actuators.c.id).where(*mine)).all():
        states.forget(connection, actuator_id)
        connection.execute(delete(actuators).where(actuators.c.id == actuator_id))


def _ensure_actuator(connection: Connection, device_id: int, name: str) -> None:
    # Looked up first: an INSERT that is ignored uses up a number all the same.
    there = select(actuators.c.id).where(actuators.c.device_id == device_id, actuators.c.name == name)
    if connection.scalar(there) is None:
        connection.execute(insert_ignore(actuators), [{"device_id": device_id, "name": name}])


def store_boots(connection: Connection, boots: Mapping[int, tuple[str, int]]) -> None:
    """Remember for devices that send no `boot` the label we gave their present start, and its last number."""
    if boots:
        rows = [{"of": device_id, "start": label, "number": seq} for device_id, (label, seq) in sorted(boots.items())]
        statement = update(devices).where(devices.c.id == bindparam("of"))
        connection.execute(statement.values(boot=bindparam("start"), boot_seq=bindparam("number")), rows)


def store_last_seen(connection: Connection, seen: Mapping[int, int]) -> None:
    """Move the `last_seen` (UTC ms) of these device ids forward, never back."""
    if connection.dialect.name == "sqlite":
        statement = update(devices).where(devices.c.id == bindparam("of"), devices.c.last_seen < bindparam("at"))
        rows = [{"of": device_id, "at": at} for device_id, at in sorted(seen.items())]
        if rows:
            connection.execute(statement.values(last_seen=bindparam("at")), rows)
        return
    # A statement for each device, as executemany() makes of an UPDATE, would take as many round trips.
    for chunk in in_chunks(sorted(seen.items()), _SEEN_A_STATEMENT):
        connection.execute(_MOVE_LAST_SEEN, {"seen": json.dumps(chunk)})
