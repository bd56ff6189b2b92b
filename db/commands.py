"""Commands: a table is the queue. Who wants what of which actuator, how far that is, and what proves it.

Whoever wants something writes a row (`request`) and nudges the dispatcher, which alone publishes; a polling device
takes its commands by `hand_over`. Reports end commands where they are stored, in the same transaction
(`db.command_reports`). Each step keeps its time (UTC ms) and a sentence for a person; the steps of all commands rise in
one count, so that who follows them asks for what is newer than what it has (`changed`). `published` may be missing
among the steps: a quick device answers before the broker's acknowledgement is noted. That a command has ended is
written to the audit log a moment later (`db.ended_commands`).
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from db import audit, targets
from db.audit import Entry, Result
from db.rights import Actor, storable
from db.schema import command_steps, commands
from db.statements import in_chunks
from db.targets import BadState, UnknownTarget

__all__ = [
    "MOST_OPEN",
    "OPEN",
    "REQUEST",
    "BadState",
    "Command",
    "CommandStatus",
    "Step",
    "TooMany",
    "UnknownTarget",
    "by_numbers",
    "changed",
    "ended_since",
    "entry",
    "fail_open",
    "find",
    "hand_over",
    "last_step",
    "move",
    "open_commands",
    "recent",
    "request",
    "waiting_for",
]

CommandStatus = Literal["queued", "published", "confirmed", "failed", "expired", "contradicted", "cancelled"]
#: In these a command goes on; in the others it has ended.
OPEN: Final[tuple[CommandStatus, ...]] = ("queued", "published")
#: More that are open are not taken.
MOST_OPEN: Final = 10_000
#: The action in the audit log of one that is asked for; its end is `command.<status>`.
REQUEST: Final = "command.request"
_LONGEST_NAME: Final = 191


@dataclass(frozen=True, slots=True)
class Step:
    """A status that a command came to at a time (UTC ms), and a sentence that says what proves it."""

    status: CommandStatus
    at: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants of an actuator. `state` is ON, OFF or a number as text. Times are UTC ms.

    `by` and `address`: who asked, and from where.
    """

    id: str
    device: str
    actuator: str
    state: str
    status: CommandStatus
    by: str
    address: str
    made_at: int
    deadline_at: int
    steps: tuple[Step, ...]

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.status in OPEN

    @property
    def ended_at(self) -> int | None:
        """When it ended, None while it goes on."""
        return None if self.open else self.steps[-1].at


class TooMany(ValueError):
    """So many commands are open that no further one is taken now. The text is a sentence."""


def request(  # noqa: PLR0913  # a word each of who asks what of whom
    connection: Connection,
    key: bytes,
    device: str,
    actuator: str,
    order: str | float,
    *,
    by: Actor,
    at: int,
    deadline_ms: int,
    most_open: int = MOST_OPEN,
) -> Command:
    """Queue a command, cancel an older open one for the actuator, and record it: the last statement of a transaction.

    The caller has made sure that `by` may control, and nudges the dispatcher once it is committed.

    Args:
        connection: A transaction to write in (`db.engine.writing`).
        key: Of the audit log: `doors.key("audit")`.
        device: Its name.
        actuator: Its name.
        order: ON, OFF, TOGGLE or a number, as text or as it is. TOGGLE is the opposite of what an open command asks
            for, else of what the device reported.
        by: Who asks, and from where.
        at: UTC ms.
        deadline_ms: How long it may take.
        most_open: With so many that are open no further one is taken.

    Raises:
        UnknownTarget: If there is no such device or actuator.
        BadState: If the actuator takes no such state.
        TooMany: If too many commands are open.
    """
    target = targets.locked(connection, device, actuator)
    older = connection.execute(_open(commands.c.device == device, commands.c.actuator == actuator)).all()
    state = target.resolved(order, older[-1].state if older else None)
    for row in older:
        _supersede(connection, row.number, at)
    if not older and _is_full(connection, most_open):  # else it takes the place of one
        raise TooMany(f"{most_open:,} commands wait already. Try again once some of them have ended.")
    made = Command(
        str(uuid.uuid4()),
        device,
        actuator,
        state,
        "queued",
        storable(by.name, _LONGEST_NAME),
        storable(by.origin.address, 64),
        at,
        at + deadline_ms,
        (Step("queued", at, "It was asked for."),),
    )
    _store(connection, made)
    audit.record(connection, key, entry(made, REQUEST, at, "ok", f"{state}, command {made.id}"))
    return made


def find(connection: Connection, command_id: str) -> Command | None:
    """The command with this id."""
    rows = connection.execute(select(commands).where(commands.c.id == storable(command_id, 36))).all()
    return next(iter(_with_steps(connection, rows)), None)


def recent(
    connection: Connection,
    *,
    device: str | None = None,
    by: str | None = None,
    limit: int = 100,
    before: str | None = None,
) -> list[Command]:
    """The newest commands, newest first; of one device, or asked for `by` one name. `before`: older than this id."""
    query = select(commands).order_by(commands.c.number.desc()).limit(limit)
    if device is not None:
        query = query.where(commands.c.device == device)
    if by is not None:
        query = query.where(func.lower(commands.c.made_by) == storable(by, _LONGEST_NAME).lower())
    if before is not None:
        older_than = select(commands.c.number).where(commands.c.id == storable(before, 36)).scalar_subquery()
        query = query.where(commands.c.number < older_than)
    return _with_steps(connection, connection.execute(query).all())


def open_commands(connection: Connection) -> list[Command]:
    """All that go on, oldest first."""
    return _with_steps(connection, connection.execute(_open()).all())


def waiting_for(connection: Connection, device: str, now: int) -> list[Command]:
    """What a polling device is to be given now (UTC ms): its open commands that are not past their deadline.

    One that it was given already is among them until it reports: its answer may have been lost on the way. It has the
    same id, and a device that remembers ids applies it once.
    """
    query = _open(commands.c.device == device, commands.c.deadline_at > now)
    return _with_steps(connection, connection.execute(query).all())


def hand_over(connection: Connection, given: Iterable[Command], at: int) -> list[Command]:
    """Note that a polling device is given these now, before it is; those of them that still go on, as they are then."""
    still: list[str] = []
    for command in given:
        mine = (commands.c.id == command.id, commands.c.status.in_(OPEN))
        if connection.execute(
            update(commands).where(*mine).values(sent_at=func.coalesce(commands.c.sent_at, at))
        ).rowcount:
            still.append(command.id)
            if command.status == "queued":
                move(
                    connection,
                    command.id,
                    "published",
                    "Handed to the device, which asked for it.",
                    at,
                    expected="queued",
                )
    return _by_ids(connection, still)


def move(
    connection: Connection,
    command_id: str,
    status: CommandStatus,
    evidence: str,
    at: int,
    *,
    expected: CommandStatus | Sequence[CommandStatus] = OPEN,
    patient: bool = True,
) -> bool:
    """Bring a command from an `expected` status to another; False, and nothing is written, if it is in none of them.

    The same status again is a step with other evidence. Not `patient`: False also if somebody else is changing it at
    this moment (who waits while it holds others may meet one who holds that and waits for those).
    """
    wanted = [expected] if isinstance(expected, str) else list(expected)
    here = (commands.c.id == command_id, commands.c.status.in_(wanted))
    number = connection.scalar(select(commands.c.number).where(*here).with_for_update(skip_locked=not patient))
    if number is None:
        return False
    _move(connection, number, Step(status, at, evidence))
    return True


def fail_open(connection: Connection, device: str, evidence: str, at: int, *, actuator: str | None = None) -> None:
    """End all that go on for a device, or for one of its actuators, as failed: it is gone."""
    mine = [commands.c.device == device, *([] if actuator is None else [commands.c.actuator == actuator])]
    for row in connection.execute(_open(*mine)).all():
        move(connection, row.id, "failed", evidence, at)


def changed(connection: Connection, since: int, known: Container[int] = ()) -> tuple[list[int], list[Command]]:
    """Numbers of the steps after `since` that are not `known`, and the commands they belong to, as these are now.

    Numbers are given before they are committed, so that a greater one may be seen first: who follows goes on asking
    for those of the last seconds.
    """
    query = select(command_steps.c.number, command_steps.c.command).where(command_steps.c.number > since)
    rows = [row for row in connection.execute(query) if row.number not in known]
    return [row.number for row in rows], by_numbers(connection, sorted({row.command for row in rows}))


def last_step(connection: Connection) -> int:
    """The greatest number of a step, 0 if there is none: from where to follow."""
    return connection.scalar(select(func.max(command_steps.c.number))) or 0


def ended_since(connection: Connection, at: int) -> list[Command]:
    """Those that ended at or after `at` (UTC ms), oldest first."""
    of_all = commands.c.settled.in_((0, 1))  # which is how the index begins
    query = select(commands).where(of_all, commands.c.ended_at >= at).order_by(commands.c.number)
    return _with_steps(connection, connection.execute(query).all())


def by_numbers(connection: Connection, numbers: Sequence[int]) -> list[Command]:
    """Those that have these numbers in the table, oldest first."""
    found = [
        row
        for some in in_chunks(numbers, 500)
        for row in connection.execute(select(commands).where(commands.c.number.in_(some)).order_by(commands.c.number))
    ]
    return _with_steps(connection, found)


def entry(command: Command, action: str, at: int, result: Result, detail: str) -> Entry:
    """What the audit log says of a command: by whom it was asked for, and what became of it at `at` (UTC ms)."""
    return Entry(at, command.by, command.address, action, f"{command.device}/{command.actuator}", result, detail)


# Rows


def _open(*those: ColumnElement[bool]) -> Select[Any]:
    """Those that go on, oldest first."""
    mine = (commands.c.settled == 0, *those, commands.c.status.in_(OPEN))
    return select(commands).where(*mine).order_by(commands.c.number)


def _supersede(connection: Connection, number: int, at: int) -> None:
    """Cancel a command, unless it has ended meanwhile. Locked first, so that what is said of it holds."""
    mine = (commands.c.number == number, commands.c.status.in_(OPEN))
    query = select(commands.c.status, commands.c.sent_at).where(*mine).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return
    if row.status == "published":
        out = "this one had gone out"
    else:
        out = "this one had not gone out" if row.sent_at is None else "this one may have gone out"
    _move(connection, number, Step("cancelled", at, f"Something else was asked for; {out}."))


def _is_full(connection: Connection, most: int) -> bool:
    """Whether so many are open. Those that are not settled are counted in an index alone, and are seldom so many."""
    unsettled = select(commands.c.number).where(commands.c.settled == 0).limit(most).subquery()
    if (connection.scalar(select(func.count()).select_from(unsettled)) or 0) < most:
        return False
    query = select(func.count()).where(commands.c.settled == 0, commands.c.status.in_(OPEN))
    return (connection.scalar(query) or 0) >= most


def _store(connection: Connection, made: Command) -> None:
    row = {
        "id": made.id,
        "device": made.device,
        "actuator": made.actuator,
        "state": made.state,
        "status": made.status,
        "made_by": made.by,
        "address": made.address,
        "made_at": made.made_at,
        "deadline_at": made.deadline_at,
        "settled": 0,
    }
    _add_step(connection, connection.execute(insert(commands).values(row)).lastrowid, made.steps[0])


def _move(connection: Connection, number: int, step: Step) -> None:
    ended = None if step.status in OPEN else step.at
    connection.execute(update(commands).where(commands.c.number == number).values(status=step.status, ended_at=ended))
    _add_step(connection, number, step)


def _add_step(connection: Connection, number: int, step: Step) -> None:
    row = {"command": number, "status": step.status, "at": step.at, "evidence": storable(step.evidence, 500)}
    connection.execute(insert(command_steps).values(row))


def _by_ids(connection: Connection, ids: Sequence[str]) -> list[Command]:
    found = [
        row
        for some in in_chunks(ids, 500)
        for row in connection.execute(select(commands).where(commands.c.id.in_(some)).order_by(commands.c.number))
    ]
    return _with_steps(connection, found)


def _with_steps(connection: Connection, rows: Sequence[Any]) -> list[Command]:
    steps: dict[int, list[Step]] = {row.number: [] for row in rows}
    for some in in_chunks(sorted(steps), 500):
        query = select(command_steps).where(command_steps.c.command.in_(some)).order_by(command_steps.c.number)
        for row in connection.execute(query):
            steps[row.command].append(Step(row.status, row.at, row.evidence))
    return [_command(row, steps) for row in rows]


def _command(row: Any, steps: Mapping[int, Sequence[Step]]) -> Command:
    return Command(
        row.id,
        row.device,
        row.actuator,
        row.state,
        row.status,
        row.made_by,
        row.address,
        row.made_at,
        row.deadline_at,
        tuple(steps[row.number]),
    )
