"""What actuators did: a row for each change of a reported state, from when on it was so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from sqlalchemy import Connection, delete, func, insert, select

from db.schema import actuators, devices, states

_ONE: Final = {"ON": 1.0, "OFF": 0.0}
#: Rows that go in one transaction.
_PRUNED_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class StateAt:
    """What an actuator became at `at` (UTC ms)."""

    device: str
    actuator: str
    state: str
    at: int


def store(connection: Connection, actuator_id: int, state: str, at: int) -> None:
    """Remember that the state became this at `at` (UTC ms), or right after the last change that is known."""
    last = connection.scalar(select(func.max(states.c.ts)).where(states.c.actuator_id == actuator_id))
    ts = at if last is None else max(at, last + 1)
    connection.execute(insert(states).values(actuator_id=actuator_id, ts=ts, state=state))


def between(connection: Connection, device: str, actuator: str, start: int, end: int) -> pd.DataFrame:
    """What an actuator did in [start, end) (UTC ms): the state that held at `start`, if known, and each change.

    Columns: `ts` int64 (UTC ms; of the first `start` itself if it held before), `state` str, `value` float64: 1 for ON,
    0 for OFF, else the number.
    """
    mine = (
        select(actuators.c.id)
        .join(devices, devices.c.id == actuators.c.device_id)
        .where(devices.c.name == device, actuators.c.name == actuator)
    )
    actuator_id = connection.scalar(mine)
    rows: list[tuple[int, str]] = []
    if actuator_id is not None:
        of_it = select(states.c.ts, states.c.state).where(states.c.actuator_id == actuator_id)
        held = connection.execute(of_it.where(states.c.ts < start).order_by(states.c.ts.desc()).limit(1)).first()
        since = of_it.where(states.c.ts >= start, states.c.ts < end).order_by(states.c.ts)
        rows = [(row.ts, row.state) for row in connection.execute(since)]
        if held is not None and (not rows or rows[0][0] > start):
            rows.insert(0, (start, held.state))
    return pd.DataFrame(
        {
            "ts": np.array([ts for ts, _ in rows], dtype="int64"),
            "state": pd.Series([state for _, state in rows], dtype="str"),
            "value": np.array([value_of(state) for _, state in rows], dtype="float64"),
        }
    )


def changed(connection: Connection, since: int) -> list[StateAt]:
    """What actuators became at or after `since` (UTC ms), by time. Who follows asks for the last seconds anew."""
    query = (
        select(devices.c.name.label("device"), actuators.c.name, states.c.state, states.c.ts)
        .join(actuators, actuators.c.id == states.c.actuator_id)
        .join(devices, devices.c.id == actuators.c.device_id)
        .where(states.c.ts >= since)
        .order_by(states.c.ts)
    )
    return [StateAt(*row) for row in connection.execute(query)]


def value_of(state: str) -> float:
    """A state as a number: 1 for ON, 0 for OFF."""
    return _ONE[state] if state in _ONE else float(state)


def forget(connection: Connection, actuator_id: int) -> None:
    """Delete an actuator's history."""
    connection.execute(delete(states).where(states.c.actuator_id == actuator_id))


def prune(connection: Connection, before: int) -> int:
    """Remove some of the changes that were over before `before` (UTC ms): what held then stays. Returns how many."""
    newest = (
        select(states.c.actuator_id, func.max(states.c.ts).label("ts"))
        .where(states.c.ts < before)
        .group_by(states.c.actuator_id)
        .subquery()
    )
    past = (
        select(states.c.actuator_id, states.c.ts)
        .join(newest, newest.c.actuator_id == states.c.actuator_id)
        .where(states.c.ts < newest.c.ts)
        .limit(_PRUNED_AT_ONCE)
    )
    rows = connection.execute(past).all()
    for row in rows:
        connection.execute(delete(states).where(states.c.actuator_id == row.actuator_id, states.c.ts == row.ts))
    return len(rows)
