"""What a device's reports, and the deadline, make of a command. CONTRACT, "Commands (control)"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, select, update

from db.commands import OPEN, move
from db.devices import ActuatorState
from db.schema import actuators, commands, devices

#: What a report is to a command: its end, something to remember until the deadline, or nothing.
Verdict = Literal["confirmed", "contradicted", "remembered", "nothing"]

_WORDS: Final = ("ON", "OFF")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as far as its end is concerned. `sent`: it has gone out, or may have. `step`: of its actuator."""

    id: str
    state: str
    sent: bool
    step: float | None = None


def judge(asked: Asked, report: ActuatorState, *, retained: bool, before: str | None) -> Verdict:
    """What a report is to a command. `before`: what the actuator reported before. Pure.

    A report with another command's id is that command's.
    """
    if report.command_id is not None:
        if report.command_id != asked.id:
            return "nothing"
        if agrees(asked, report.state):
            return "confirmed"
        return "contradicted" if report.state in _WORDS else "remembered"
    if not asked.sent or (retained and report.state == before):
        return "nothing"  # it tells how things were
    return "confirmed" if agrees(asked, report.state) else "remembered"


def agrees(asked: Asked, state: str) -> bool:
    """Whether a reported state is what was asked for: the same word, or a number within a step of it."""
    if asked.state in _WORDS or state in _WORDS:
        return asked.state == state
    wanted, given = float(asked.state), float(state)
    return math.isclose(wanted, given, rel_tol=1e-9, abs_tol=max(asked.step or 0.0, 1e-9))


def take(connection: Connection, report: ActuatorState, at: int, *, retained: bool, before: str | None) -> list[str]:
    """Bring a report to the open commands of its actuator, in the transaction that stores it; ids of those it ended."""
    query = (
        select(commands.c.number, commands.c.id, commands.c.state, commands.c.sent_at)
        .where(commands.c.settled == 0, commands.c.device == report.device, commands.c.actuator == report.actuator)
        .where(commands.c.status.in_(OPEN))
        .order_by(commands.c.number)
    )
    rows = connection.execute(query).all()
    if not rows:
        return []
    step = None if all(row.state in _WORDS for row in rows) else _step(connection, report)
    ended = []
    for row in rows:
        asked = Asked(row.id, row.state, row.sent_at is not None, step)
        match judge(asked, report, retained=retained, before=before):
            case "confirmed":
                ends = move(connection, row.id, "confirmed", _words(report, retained=retained), at)
            case "contradicted":
                ends = move(connection, row.id, "contradicted", _words(report, retained=retained), at)
            case "remembered":
                here = (commands.c.number == row.number, commands.c.status.in_(OPEN))
                connection.execute(update(commands).where(*here).values(report=report.state, report_at=at))
                ends = False
            case _:
                ends = False
        if ends:
            ended.append(row.id)
    return ended


def expire(connection: Connection, now: int, limit: int = 200) -> list[str]:
    """End at most `limit` commands that are past their deadline at `now` (UTC ms); their ids."""
    columns = (commands.c.id, commands.c.status, commands.c.sent_at, commands.c.report)
    query = (
        select(*columns)
        .where(commands.c.settled == 0, commands.c.deadline_at <= now, commands.c.status.in_(OPEN))
        .order_by(commands.c.number)
        .limit(limit)
    )
    return [row.id for row in connection.execute(query).all() if _expire(connection, row, now)]


def _expire(connection: Connection, row: Any, now: int) -> bool:
    """Unless a report is just ending it: who stores reports locks commands in another order."""
    if row.report is not None:
        words = f"The device went on reporting {row.report} until the deadline."
        return move(connection, row.id, "contradicted", words, now, patient=False)
    if row.sent_at is None:
        words = "It never went out, and will not any more."
    elif row.status == "queued":
        words = "It may have gone out, the broker never said so. The device reported nothing by the deadline."
    else:
        words = "It had gone out. The device reported nothing by the deadline."
    return move(connection, row.id, "expired", words, now, patient=False)


def _step(connection: Connection, report: ActuatorState) -> float | None:
    query = (
        select(actuators.c.step)
        .join(devices, devices.c.id == actuators.c.device_id)
        .where(devices.c.name == report.device, actuators.c.name == report.actuator)
    )
    return connection.scalar(query)


def _words(report: ActuatorState, *, retained: bool) -> str:
    known = " as the broker has kept it" if retained else ""
    caused = "with this command's id" if report.command_id is not None else "without an id"
    return f"The device reported {report.state} {caused}{known}."
