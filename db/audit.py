"""The audit log: who did what to what, from where, and how it ended. Each entry's HMAC covers the one before.

The key lies outside the database, so whoever changes, moves or removes an entry there is found out by `verify`. But for
one thing: the newest entries can be taken away together with the head. Whoever noted a head before gives it to
`verify`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, insert, or_, select, update

from db.rights import storable
from db.schema import audit_head, audit_log

#: `asked`: of somebody outside the database; what came of it is an entry of its own, or else is not known.
Result = Literal["asked", "ok", "failed", "refused"]
#: The action of an entry that begins a new chain, because the key is another.
BEGIN: Final = "audit.begin"
_LONGEST_TEXT: Final = 1000
_LARGEST: Final = 2**63 - 1
_HEAD: Final = audit_head.c.id == 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was done, or tried. `at` is UTC ms."""

    at: int
    actor: str
    address: str
    action: str
    subject: str
    result: Result
    detail: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry in the log: its number, from 1 without gaps, and its link in the chain."""

    number: int
    entry: Entry
    mac: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: how many entries there are, the last one's mac, and the first number that does not hold.

    `problem` is a sentence, None if all holds.
    """

    entries: int
    head: str
    bad: int | None = None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all holds."""
        return self.problem is None


def record(connection: Connection, key: bytes, entry: Entry) -> None:
    """Add an entry, in the transaction of what it records and as its last statement: all others wait for it."""
    _append(connection, key, [entry], _lock_head(connection))


def record_all(connection: Connection, key: bytes, entries: Sequence[Entry]) -> None:
    """Add several in this order, as `record` does one: in as many statements, so that others wait no longer."""
    if entries:
        _append(connection, key, entries, _lock_head(connection))


def begin_anew(connection: Connection, key: bytes, entry: Entry) -> int:
    """Begin a new chain with `key`, because the one before is lost. Returns how many entries there were before.

    They can't be verified any more; the first entry of the new chain holds their digest, so that from now on nobody
    changes them unseen. Of `entry` all but action and detail are taken.
    """
    head = _lock_head(connection)
    digest = hashlib.sha256()
    for recorded in every(connection):
        _feed(digest, recorded)
    detail = _begin_detail(head.number, digest.hexdigest())
    fresh = replace(entry, action=BEGIN, result="ok", detail=detail)
    connection.execute(update(audit_head).where(_HEAD).values(key_mark=""))
    _append(connection, key, [fresh], head, mark=True)
    return int(head.number)


def is_key(connection: Connection, key: bytes) -> bool:
    """Whether the chain was begun with this key; also if there is none yet."""
    mark = connection.scalar(select(audit_head.c.key_mark).where(_HEAD))
    return not mark or hmac.compare_digest(mark, _mark(key))


def search(  # noqa: PLR0913  # a filter each
    connection: Connection,
    *,
    text: str = "",
    actor: str | None = None,
    action: str | None = None,
    since: int | None = None,
    until: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Recorded]:
    """Entries for which all that is given holds, newest first.

    Args:
        connection: Where to read.
        text: Stands in the subject, the detail, the actor or the address, in any case.
        actor: Who did it, in any case.
        action: What was done, such as `login`; with a dot at the end, such as `user.`, all that begin so.
        since: UTC ms, that one included.
        until: UTC ms, that one excluded.
        before: A number: entries older than that one, to read on.
        limit: How many at most.
    """
    columns = audit_log.c
    query = select(audit_log).order_by(columns.number.desc()).limit(limit)
    if text:
        places = (columns.subject, columns.detail, columns.actor, columns.address)
        words = storable(text, _LONGEST_TEXT).lower()
        query = query.where(or_(*(func.lower(place).contains(words, autoescape=True) for place in places)))
    if actor is not None:
        query = query.where(func.lower(columns.actor) == storable(actor, _LONGEST_TEXT).lower())
    if action is not None:
        action = storable(action, _LONGEST_TEXT)
        is_it = columns.action.startswith(action, autoescape=True) if action[-1:] == "." else columns.action == action
        query = query.where(is_it)
    if since is not None:
        query = query.where(columns.at >= _in_range(since))
    if until is not None:
        query = query.where(columns.at < _in_range(until))
    if before is not None:
        query = query.where(columns.number < _in_range(before))
    return [_of_row(row) for row in connection.execute(query)]


def _in_range(number: int) -> int:
    """A number as the database takes it."""
    return max(-_LARGEST, min(number, _LARGEST))


def every(connection: Connection) -> Iterator[Recorded]:
    """All entries, oldest first, a thousand at a time."""
    query = select(audit_log).order_by(audit_log.c.number)
    return (_of_row(row) for row in connection.execute(query, execution_options={"yield_per": 1_000}))


def verify(connection: Connection, key: bytes, head: str | None) -> Verdict:
    """Go through the whole log, in a transaction that sees one moment.

    Args:
        connection: Where to read.
        key: The key of the chain.
        head: A mac that was noted before, as `verify` told it; it must be among those that are there.
    """
    walk = _Walk(key, head)
    for recorded in every(connection):
        walk.take(recorded)
    return walk.verdict(connection.execute(select(audit_head).where(_HEAD)).one_or_none())


class _Walk:
    """Entries in order, each checked against the one before."""

    def __init__(self, key: bytes, head: str | None) -> None:
        self._key = key
        self._wanted = head
        self._seen = head is None
        self._last = Recorded(0, Entry(0, "", "", "", "", "ok", ""), "")
        self._digest = hashlib.sha256()
        self._bad: int | None = None
        self._problem: str | None = None

    def take(self, recorded: Recorded) -> None:
        """The next one."""
        number, expected = recorded.number, self._last.number + 1
        if number != expected:
            self._blame(expected, f"Entry {expected} is missing.")
        holds = hmac.compare_digest(recorded.mac, _mac(self._key, number, recorded.entry, self._last.mac))
        if not holds:
            self._blame(number, f"Entry {number} was changed, or was not made with this SECRET_KEY.")
        elif recorded.entry.action == BEGIN:
            self._begin(recorded)
        self._seen = self._seen or recorded.mac == self._wanted
        _feed(self._digest, recorded)
        self._last = recorded

    def verdict(self, head: Any) -> Verdict:
        """What came of it, given the row of the head."""
        last = self._last
        if head is None:
            self._blame(last.number + 1, "The head of the log is missing: entries at its end may be too.")
        elif head.number != last.number or head.mac != last.mac:
            self._blame(last.number + 1, f"The log ends at entry {last.number}, its head tells of {head.number}.")
        if not self._seen:
            self._blame(last.number + 1, "The head that was noted is not in the log: its end was taken away.")
        return Verdict(last.number, last.mac, self._bad, self._problem)

    def _begin(self, recorded: Recorded) -> None:
        """A new chain, whose first entry answers for all that was before."""
        if recorded.entry.detail == _begin_detail(recorded.number - 1, self._digest.hexdigest()):
            self._bad = self._problem = None
        else:
            self._bad = recorded.number
            self._problem = f"Entries before {recorded.number}, where a new chain was begun, were changed after that."

    def _blame(self, number: int, problem: str) -> None:
        if self._problem is None:
            self._bad, self._problem = number, problem


def _append(connection: Connection, key: bytes, entries: Sequence[Entry], head: Any, *, mark: bool = False) -> None:
    number, mac, rows = head.number, head.mac, []
    for entry in entries:
        fitted = _fitted(entry)
        number += 1
        mac = _mac(key, number, fitted, mac)
        rows.append({"number": number, "mac": mac, **asdict(fitted)})
    connection.execute(insert(audit_log), rows)
    values: dict[str, Any] = {"number": number, "mac": mac}
    if mark or not head.key_mark:
        values["key_mark"] = _mark(key)
    connection.execute(update(audit_head).where(_HEAD).values(values))


def _lock_head(connection: Connection) -> Any:
    query = select(audit_head).where(_HEAD).with_for_update()
    head = connection.execute(query).one_or_none()
    if head is None:  # somebody took it away: go on from the last entry
        last = connection.execute(select(audit_log).order_by(audit_log.c.number.desc()).limit(1)).one_or_none()
        row = {"id": 1, "number": last.number if last else 0, "mac": last.mac if last else "", "key_mark": ""}
        connection.execute(insert(audit_head).values(row))
        head = connection.execute(query).one()
    return head


def _of_row(row: Any) -> Recorded:
    entry = Entry(row.at, row.actor, row.address, row.action, row.subject, row.result, row.detail)
    return Recorded(row.number, entry, row.mac)


def _mac(key: bytes, number: int, entry: Entry, previous: str) -> str:
    return hmac.new(key, _text(number, entry, previous), hashlib.sha256).hexdigest()


def _mark(key: bytes) -> str:
    return hmac.new(key, b"mark", hashlib.sha256).hexdigest()


def _feed(digest: Any, recorded: Recorded) -> None:
    digest.update(_text(recorded.number, recorded.entry, recorded.mac) + b"\n")


def _text(number: int, entry: Entry, mac: str) -> bytes:
    """One text for one entry, and no other entry has the same."""
    fields = (entry.at, entry.actor, entry.address, entry.action, entry.subject, entry.result, entry.detail)
    return json.dumps([number, *fields, mac], separators=(",", ":")).encode()


def _begin_detail(entries: int, digest: str) -> str:
    return f"The key of the {entries} entries before is lost; their SHA-256 is {digest}."


def _fitted(entry: Entry) -> Entry:
    """As the table takes it, so that what is read is what the mac covers."""
    return replace(
        entry,
        actor=storable(entry.actor, 64),
        address=storable(entry.address, 64),
        action=storable(entry.action, 32),
        subject=storable(entry.subject, 191),
        detail=storable(entry.detail, 1000),
    )
