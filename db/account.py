"""The account: what became of everything received, and which sequence numbers were seen.

A batch leaves one row in its own transaction. `fold` adds these rows up into a row a worker and UTC day and into
intervals of seen numbers, and deletes them in the same transaction. The newest row of a worker's present start stays,
because it answers whether a commit went through whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, exists, func, or_, select, tuple_, union_all

from db.engine import RefusedRows
from db.schema import account, batches, devices, seen
from db.statements import in_chunks, insert_ignore, insert_one_new, largest_statement, upsert

_DAY_MS: Final = 86_400_000
#: Batch rows, and ranges of numbers in them, folded in one transaction, which holds SQLite's only lock.
_ROWS_AT_ONCE: Final = 500
_RANGES_AT_ONCE: Final = 100_000
#: What the account counts beside the tally.
_BESIDE: Final = ("letters_removed", "readings_imported", "readings_removed")


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of messages and readings. Received is the sum of the three, for each of the two."""

    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    readings_stored: int = 0
    readings_duplicate: int = 0
    readings_rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Tally)))


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Names one batch: worker, the token of its start, and its number since then."""

    worker: str
    token: str
    number: int


#: A stretch of seen numbers: first, last, UTC ms of its oldest batch and of the batch that brought its last number.
Interval = tuple[int, int, int, int]

#: One start of a device: its name, and the `boot` it sends or the label we gave.
Start = tuple[str, str]

#: Sequence numbers seen in one batch: (device id, boot, first, last), both included.
SeenRange = tuple[int, str, int, int]


@dataclass(frozen=True, slots=True)
class Missing:
    """Sequence numbers `first`..`last` that a device sent (a later one arrived) and that never reached us.

    Times are UTC ms. `noticed_at`: of the batch that brought the number after them; `before_at`: of the one that
    brought the number before them, never later than that.
    """

    device: str
    boot: str
    first: int
    last: int
    before_at: int
    noticed_at: int

    @property
    def count(self) -> int:
        """How many numbers that is."""
        return self.last - self.first + 1


def claim_batch(
    connection: Connection, key: BatchKey, tally: Tally, ranges: Sequence[SeenRange], committed_at: int
) -> bool:
    """Leave the row of a batch, in the batch's own transaction.

    False if it is there: an earlier transaction with this key was committed, though its answer may have been lost.

    Raises:
        RefusedRows: If the numbers of one batch are more than the server takes in a statement: half a batch has fewer.
    """
    numbers = msgspec.msgpack.encode(ranges)
    if 2 * len(numbers) > largest_statement(connection):  # each byte may take two
        raise RefusedRows(f"its sequence numbers take {len(numbers)} bytes, more than max_allowed_packet has room for")
    row = {
        "worker": key.worker,
        "token": key.token,
        "number": key.number,
        "committed_at": committed_at,
        "seen": numbers,
        **_columns(tally),
    }
    return insert_one_new(connection, batches, row)


def totals(connection: Connection) -> dict[str, Tally]:
    """The account of each worker by name, folded rows and rows not yet folded together."""
    # One statement, because where each sees what is committed, a fold between two would hide or double its rows.
    columns = ["worker", *(f.name for f in fields(Tally))]
    both = union_all(*(select(*(table.c[name] for name in columns)) for table in (account, batches))).subquery()
    sums = (func.sum(both.c[name]) for name in columns[1:])
    rows = connection.execute(select(both.c.worker, *sums).group_by(both.c.worker))
    return {worker: Tally(*(int(count) for count in counts)) for worker, *counts in rows}


def fold(connection: Connection, worker: str, token: str | None) -> int:
    """Fold some of a worker's batch rows, never the newest of its present start `token`. Call it until it returns 0.

    `token` None: it ended and has no present start. Should it live after all, and its last commit's answer be lost, it
    counts that batch once more, as duplicates. Returns how many were folded.
    """
    mine = batches.c.worker == worker
    # By number: a clock may step back.
    newest = connection.scalar(select(func.max(batches.c.number)).where(mine, batches.c.token == token))
    columns = (batches.c.token, batches.c.number, batches.c.committed_at, batches.c.seen)
    query = select(*columns, *(batches.c[f.name] for f in fields(Tally))).where(mine)
    if newest is not None:
        # Not "another number": a locking read sees what was committed since, and a newer row than the newest is newest.
        query = query.where(or_(batches.c.token != token, batches.c.number < newest))
    # Locked: the worker itself and the keeper may both be folding, and each row counts once.
    rows = connection.execute(
        query.order_by(batches.c.token, batches.c.number).limit(_ROWS_AT_ONCE).with_for_update()
    ).all()
    if not rows:
        return 0
    days: dict[int, list[int]] = {}
    ranges: list[tuple[SeenRange, int]] = []
    decoder = msgspec.msgpack.Decoder(list[SeenRange])
    folded: list[tuple[str, int]] = []
    for token_, number, committed_at, numbers, *counts in rows:
        if len(ranges) >= _RANGES_AT_ONCE:
            break
        folded.append((token_, number))
        day = committed_at // _DAY_MS
        days[day] = [one + other for one, other in zip(days[day], counts, strict=True)] if day in days else counts
        ranges.extend((seen_range, committed_at) for seen_range in decoder.decode(numbers))
    for day, sums in sorted(days.items()):
        _add_to_day(connection, worker, day, Tally(*sums))
    _add_ranges(connection, ranges)
    for chunk in in_chunks(folded, 500):
        connection.execute(delete(batches).where(mine, tuple_(batches.c.token, batches.c.number).in_(chunk)))
    return len(folded)


def _add_to_day(connection: Connection, worker: str, day: int, tally: Tally, **more: int) -> None:
    """Add to a worker's day. `more` is what is counted beside the tally, by column."""
    new = {"worker": worker, "day": day, **dict.fromkeys(_BESIDE, 0), **_columns(Tally())}
    connection.execute(insert_ignore(account), [new])
    sums = {name: account.c[name] + count for name, count in {**_columns(tally), **more}.items() if count}
    if sums:
        connection.execute(account.update().where(account.c.worker == worker, account.c.day == day).values(sums))


def count_letters_removed(connection: Connection, worker: str, removed: int, at: int) -> None:
    """Count dead letters that had to leave, in the transaction in which they leave. `at` is UTC ms."""
    if removed:
        _add_to_day(connection, worker, at // _DAY_MS, Tally(), letters_removed=removed)


def move_stored(connection: Connection, worker: str, duplicate: int, rejected: int, at: int) -> None:
    """Count readings that were stored and turned out to be known, or to contradict what was, when they were merged.

    In the transaction in which their rows go. Which worker stored them is not known any more, so `worker` is a name for
    what was moved alone. `at` is UTC ms.
    """
    moved = Tally(readings_stored=-duplicate - rejected, readings_duplicate=duplicate, readings_rejected=rejected)
    _add_to_day(connection, worker, at // _DAY_MS, moved)


def count_imported(connection: Connection, worker: str, imported: int, at: int) -> None:
    """Count readings that came by no worker, in the transaction in which they come. `at` is UTC ms."""
    _add_to_day(connection, worker, at // _DAY_MS, Tally(), readings_imported=imported)


def count_removed(connection: Connection, worker: str, removed: int, at: int) -> None:
    """Count readings that were past their time, or were deleted, in the transaction in which they go."""
    _add_to_day(connection, worker, at // _DAY_MS, Tally(), readings_removed=removed)


def imported_and_removed(connection: Connection) -> tuple[int, int]:
    """Readings that ever came by no worker, and those that ever went for good."""
    row = connection.execute(select(func.sum(account.c.readings_imported), func.sum(account.c.readings_removed))).one()
    return int(row[0] or 0), int(row[1] or 0)


def letters_removed(connection: Connection) -> int:
    """How many dead letters ever had to leave for newer ones."""
    return int(connection.scalar(select(func.sum(account.c.letters_removed))) or 0)


def _columns(tally: Tally) -> dict[str, int]:
    return {f.name: getattr(tally, f.name) for f in fields(Tally)}


def _add_ranges(connection: Connection, ranges: Iterable[tuple[SeenRange, int]]) -> None:
    """Join these to what is known. A device that goes on counting costs one row of one statement."""
    by_start: dict[tuple[int, str], list[Interval]] = {}
    for (device_id, boot, first, last), at in ranges:
        by_start.setdefault((device_id, boot), []).append((first, last, at, at))
    for starts in in_chunks(sorted(by_start), 500):
        of_start = tuple_(seen.c.device_id, seen.c.boot).in_(starts)
        known = _folded(connection, of_start)
        gone: list[tuple[int, str, int]] = []
        rows: list[dict[str, int | str]] = []
        for start in starts:
            old = known.get(start, [])
            merged = merge_intervals([*old, *by_start[start]])
            gone += [(*start, first) for first in {i[0] for i in old} - {i[0] for i in merged}]
            rows += [_row(*start, *interval) for interval in set(merged) - set(old)]
        for chunk in in_chunks(gone, 500):
            connection.execute(delete(seen).where(tuple_(seen.c.device_id, seen.c.boot, seen.c.first).in_(chunk)))
        upsert(connection, seen, rows, ("last", "seen_at", "last_at"))


def _row(device_id: int, boot: str, first: int, last: int, seen_at: int, last_at: int) -> dict[str, int | str]:
    return {
        "device_id": device_id,
        "boot": boot,
        "first": first,
        "last": last,
        "seen_at": seen_at,
        "last_at": last_at,
    }


def merge_intervals(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that touch or overlap, both ends included. Sorted.

    The oldest `seen_at` of those joined stays, and the `last_at` of the one that reaches furthest.
    """
    merged: list[Interval] = []
    for first, last, at, last_at in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            known_first, known_last, known_at, known_last_at = merged[-1]
            end, end_at = max((known_last, -known_last_at), (last, -last_at))
            merged[-1] = (known_first, end, min(known_at, at), -end_at)
        else:
            merged.append((first, last, at, last_at))
    return merged


def missing(connection: Connection, limit: int) -> list[Missing]:
    """The newest `limit` ranges of numbers that never arrived, from folded rows alone, which is quick.

    Rows not yet folded count as unseen, so a range may be named for a minute that is already there.
    """
    return gaps(_named(connection, _folded(connection)))[:limit]


def seen_now(connection: Connection) -> dict[Start, list[Interval]]:
    """Seen numbers by device and boot, sorted, rows not yet folded included: exact where `connection` is a snapshot."""
    found = _folded(connection)
    decoder = msgspec.msgpack.Decoder(list[SeenRange])
    for row in connection.execute(select(batches.c.committed_at, batches.c.seen)):
        for device_id, boot, first, last in decoder.decode(row.seen):
            found.setdefault((device_id, boot), []).append((first, last, row.committed_at, row.committed_at))
    return _named(connection, {start: merge_intervals(intervals) for start, intervals in found.items()})


def gaps(seen_by_start: Mapping[Start, Sequence[Interval]]) -> list[Missing]:
    """The numbers between seen intervals, those noticed last first. Intervals are sorted and do not touch.

    What a device sent before the first and after the last number that arrived can't be known.
    """
    found = [
        Missing(device, boot, last + 1, first - 1, min(last_at, seen_at), seen_at)
        for (device, boot), intervals in seen_by_start.items()
        for (_, last, _, last_at), (first, _, seen_at, _) in pairwise(intervals)
    ]
    return sorted(found, key=lambda gap: -gap.noticed_at)


@dataclass(frozen=True, slots=True)
class RecentStart:
    """A start of a device of which an interval of seen numbers is new: its first one, or one behind a gap.

    `begun_at`: UTC ms of its first batch, None where that was before.
    """

    device_id: int
    boot: str
    begun_at: int | None
    has_gap: bool


def recent_starts(connection: Connection, since: int) -> list[RecentStart]:
    """Starts with an interval that was first seen at `since` (UTC ms) or later, from folded rows alone."""
    before = seen.alias()
    behind = exists().where(
        before.c.device_id == seen.c.device_id, before.c.boot == seen.c.boot, before.c.first < seen.c.first
    )
    query = select(seen.c.device_id, seen.c.boot, seen.c.seen_at, behind).where(seen.c.seen_at >= since)
    found: dict[tuple[int, str], RecentStart] = {}
    for device_id, boot, seen_at, has_gap in connection.execute(query):
        known = found.get((device_id, boot), RecentStart(device_id, boot, None, has_gap=False))
        begun_at = known.begun_at if has_gap else seen_at
        found[device_id, boot] = RecentStart(device_id, boot, begun_at, has_gap=known.has_gap or bool(has_gap))
    return list(found.values())


def intervals(connection: Connection, starts: Iterable[tuple[int, str]]) -> dict[tuple[int, str], list[Interval]]:
    """Seen numbers of these (device id, boot), sorted, from folded rows alone."""
    found: dict[tuple[int, str], list[Interval]] = {}
    for some in in_chunks(sorted(starts), 500):
        found |= _folded(connection, tuple_(seen.c.device_id, seen.c.boot).in_(some))
    return found


def _folded(
    connection: Connection, condition: ColumnElement[bool] | None = None
) -> dict[tuple[int, str], list[Interval]]:
    columns = (seen.c.device_id, seen.c.boot, seen.c.first, seen.c.last, seen.c.seen_at, seen.c.last_at)
    found: dict[tuple[int, str], list[Interval]] = {}
    query = select(*columns).order_by(*columns[:3])
    if condition is not None:
        query = query.where(condition)
    for device_id, boot, *interval in connection.execute(query):
        first, last, seen_at, last_at = interval
        found.setdefault((device_id, boot), []).append((first, last, seen_at, last_at))
    return found


def _named(connection: Connection, found: Mapping[tuple[int, str], list[Interval]]) -> dict[Start, list[Interval]]:
    names = {row.id: row.name for row in connection.execute(select(devices.c.id, devices.c.name))}
    return {(names[device_id], boot): known for (device_id, boot), known in found.items() if device_id in names}
