"""Messages that could not be stored, kept with their reason so that someone can look, mend and replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from sqlalchemy import Connection, case, delete, func, insert, select, update

from db.schema import dead_letters
from db.statements import in_chunks, largest_statement

#: Bytes of a payload that are kept.
KEPT_BYTES: Final = 65_536
#: Bytes of all kept payloads together.
KEPT_BYTES_IN_ALL: Final = 256 * 1024 * 1024
_REASON_LENGTH: Final = 1000
#: A reason in a statement at most: four bytes a character, and a backslash before some.
_REASON_BYTES: Final = 5 * _REASON_LENGTH


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or a part of one, that was rejected. `size` is the whole payload's length in bytes.

    `retained`: the broker had it in store when we subscribed, so that it is of unknown age. `stored` and `duplicate`:
    readings of the message that were stored, or known, all the same.
    """

    received_at: int
    topic: str
    payload: bytes
    size: int
    reason: str
    retained: bool = False
    stored: int = 0
    duplicate: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of the payload was kept."""
        return self.size <= len(self.payload)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter with its id."""

    id: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: all of the given conditions hold. `before` is UTC ms of receipt, `topic` a glob."""

    ids: frozenset[int] = frozenset()
    topic: str | None = None
    before: int | None = None


def store(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Add letters; of each payload the first 64 KiB are kept, less where the server takes no such statement."""
    if letters:
        # Each byte may take two in a statement; the reason is short.
        room = max(0, largest_statement(connection) - _REASON_BYTES) // 2
        rows = [
            {
                "received_at": letter.received_at,
                "topic": letter.topic.encode()[: room // 4].decode(errors="ignore"),
                "payload": letter.payload[: min(KEPT_BYTES, room * 3 // 4)],
                "size": letter.size,
                "reason": letter.reason[:_REASON_LENGTH],
                "retained": int(letter.retained),
                "stored": letter.stored,
                "duplicate": letter.duplicate,
            }
            for letter in letters
        ]
        connection.execute(insert(dead_letters), rows)


def newest(connection: Connection, limit: int, before: int | None = None) -> list[StoredDeadLetter]:
    """The newest letters, newest first; those older than the one with the id `before`, to read on."""
    query = select(dead_letters).order_by(dead_letters.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(dead_letters.c.id < before)
    return [_stored(row) for row in connection.execute(query)]


def _stored(row: Any) -> StoredDeadLetter:
    return StoredDeadLetter(
        row.id,
        DeadLetter(
            row.received_at,
            row.topic,
            bytes(row.payload),
            row.size,
            row.reason,
            bool(row.retained),
            row.stored,
            row.duplicate,
        ),
    )


def select_ids(connection: Connection, selection: Selection) -> list[int]:
    """Ids of the letters that are meant, oldest first. Reads no payload."""
    columns = dead_letters.c
    query = select(columns.id, columns.topic).order_by(columns.id)
    if selection.before is not None:
        query = query.where(columns.received_at < selection.before)
    glob = selection.topic
    return [
        row.id
        for row in connection.execute(query)
        if (not selection.ids or row.id in selection.ids) and (glob is None or fnmatchcase(row.topic, glob))
    ]


def some(connection: Connection, ids: Sequence[int]) -> list[StoredDeadLetter]:
    """The letters with these ids that are still there, oldest first."""
    query = select(dead_letters).where(dead_letters.c.id.in_(ids)).order_by(dead_letters.c.id)
    return [_stored(row) for row in connection.execute(query)]


def remove(connection: Connection, ids: Sequence[int]) -> int:
    """Delete letters. Returns how many were there."""
    return sum(
        connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(chunk))).rowcount
        for chunk in in_chunks(ids, 500)
    )


def renew(connection: Connection, letter_id: int, letter: DeadLetter) -> bool:
    """Note why a letter still can't be stored, and how much of it was stored now. False if it is gone."""
    values = {"reason": letter.reason[:_REASON_LENGTH], "stored": dead_letters.c.stored + letter.stored}
    return connection.execute(update(dead_letters).where(dead_letters.c.id == letter_id).values(values)).rowcount == 1


def count(connection: Connection) -> int:
    """How many are kept."""
    return connection.scalar(select(func.count()).select_from(dead_letters)) or 0


def trim(connection: Connection, keep: int, keep_bytes: int = KEPT_BYTES_IN_ALL) -> int:
    """Delete the oldest until at most `keep` letters and `keep_bytes` of payload stay. Returns how many went."""
    removed = 0
    surplus = count(connection) - keep
    if surplus > 0:
        removed += _delete_oldest(connection, surplus)
    # By the size that was noted: to measure the payloads themselves a server would read all of them.
    length = case((dead_letters.c.size > KEPT_BYTES, KEPT_BYTES), else_=dead_letters.c.size)
    total = connection.scalar(select(func.coalesce(func.sum(length), 0))) or 0
    if total > keep_bytes:
        query = select(dead_letters.c.id, length).order_by(dead_letters.c.id)
        last = None
        for letter_id, size in connection.execute(query):
            if total <= keep_bytes:
                break
            last, total, removed = letter_id, total - size, removed + 1
        connection.execute(delete(dead_letters).where(dead_letters.c.id <= last))
    return removed


def _delete_oldest(connection: Connection, surplus: int) -> int:
    query = select(dead_letters.c.id).order_by(dead_letters.c.id).offset(surplus - 1).limit(1)
    last = connection.scalar(query)
    return connection.execute(delete(dead_letters).where(dead_letters.c.id <= last)).rowcount
