"""The account against the tables: what adds up, what never reached us, what is asked for again, who is silent.

`read` takes everything from one snapshot of the database, so that it is exact while workers run; the rest is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from db import account, chunks, dead_letters, devices, history, readings, resends, workers
from db.account import Interval, Missing, Start, Tally
from db.devices import Device
from db.engine import Connection, Engine, snapshot
from db.readings import LatestReading
from db.resends import Named
from db.sealing import MOVES
from ingest import day_counts, published
from ingest.day_counts import NO_DAYS, DayComparison, DayCounts
from ingest.health import Account, Counts, DeadLetters
from ingest.ledger import account_of
from ingest.published import Comparison, Sent

#: A device without a status is silent after this, or after so many of its usual intervals, as on the Live page.
_SILENT_AFTER_MS: Final = 300_000
_SILENT_AFTER_INTERVALS: Final = 20
#: Readings from which a usual interval is taken.
_HABIT: Final = 21
#: What a worker holds counts as waiting while its heartbeat is younger; after that the broker has it again.
_ALIVE_MS: Final = 10_000
#: After every ts, UTC ms.
_EVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Silent:
    """A device of which nothing comes. Times are UTC ms.

    `since`: its newest reading, or what it said last where it said that it goes. `usual_ms`: how far apart its readings
    were, None if there are too few to tell. `offline`: it said so itself, or the broker did in its place.
    """

    device: str
    since: int
    usual_ms: int | None
    offline: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found at `at` (UTC ms). `accounts` are those of each worker, what it holds unstored included."""

    at: int
    accounts: Mapping[str, Account]
    rows: int
    dead_letters: DeadLetters
    missing: Sequence[Missing]
    silent: Sequence[Silent]
    published: Comparison | None = None
    #: Readings in chunks, and what came or went by no worker.
    sealed: int = 0
    imported: int = 0
    removed: int = 0
    #: What devices were asked to send again, or will be, those noticed last first.
    resends: Sequence[Named] = ()
    #: Readings a device and UTC day, and what differs from another server's.
    days: DayCounts = NO_DAYS
    by_day: DayComparison | None = None

    @property
    def held(self) -> int:
        """Readings in the database, as rows and sealed."""
        return self.rows + self.sealed

    @property
    def total(self) -> Account:
        """Of all workers."""
        return sum(self.accounts.values(), Account())

    @property
    def mismatches(self) -> list[str]:
        """What does not add up, a sentence each."""
        stored = self.total.readings.stored
        expected = stored + self.imported - self.removed
        moves = [(name, held) for name, held in self.accounts.items() if name.endswith(MOVES)]
        own = [(name, held) for name, held in self.accounts.items() if not name.endswith(MOVES)]
        found = [
            f"The account of {worker} counts {what} below zero: its rows in the table account were changed by hand."
            for worker, held in sorted([*own, *([("all", self.total)] if moves else [])])
            for what, counts in (("messages", held.messages), ("readings", held.readings))
            if min(counts.stored, counts.duplicate, counts.rejected) < 0
        ]
        sum_ = f"{stored} stored + {self.imported} imported - {self.removed} removed"
        sum_ = f"{sum_}, {self.rows} rows + {self.sealed} sealed"
        if self.held < expected:
            found.append(
                f"{expected - self.held} readings were stored and are not in the database ({sum_}): someone deleted "
                "rows or chunks, or restored these tables from another day than the account."
            )
        if self.held > expected:
            found.append(
                f"{self.held - expected} readings are in the database and were stored by no worker ({sum_}): something "
                "else writes to the table readings, or the account was restored from another day."
            )
        return found

    @property
    def ok(self) -> bool:
        """Whether nothing is missing and nothing is off. A device that is silent is neither."""
        compared = (self.published, self.by_day)
        return not self.mismatches and not self.missing and all(one is None or one.agrees for one in compared)


def read(
    engine: Engine,
    now: int,
    sent: Sequence[Sent] | None = None,
    *,
    whole_days: int = 0,
    there: DayCounts | None = None,
    site: str = "",
) -> Audit:
    """Audit the database as it is at one moment.

    `now` is UTC ms, `sent` what a publisher says it sent. `whole_days`: so many are counted a device. `there`: what
    another server counted, of all devices or of those of a `site` alone.

    Raises:
        DatabaseAway: If the database can't be read.
    """
    with snapshot(engine) as connection:
        seen = account.seen_now(connection)
        days = day_counts.read(connection, now, whole_days)
        return Audit(
            now,
            _accounts(connection),
            readings.count(connection),
            DeadLetters(dead_letters.count(connection), account.letters_removed(connection)),
            account.gaps(seen),
            _silent(connection, now),
            None if sent is None else _compare(connection, sent, seen),
            chunks.count(connection),
            *account.imported_and_removed(connection),
            resends.newest(connection),
            days,
            None if there is None else day_counts.compare(there, days, site),
        )


def _accounts(connection: Connection) -> dict[str, Account]:
    tallies = account.totals(connection)
    waiting = {
        worker.heartbeat.name: Account(
            Counts(waiting=worker.heartbeat.waiting), Counts(waiting=worker.heartbeat.waiting_readings)
        )
        for worker in workers.every(connection)
        if not worker.stopped and worker.age_ms < _ALIVE_MS
    }
    return {
        name: account_of(tallies.get(name, Tally())) + waiting.get(name, Account())
        for name in sorted(tallies.keys() | waiting.keys())
    }


def _silent(connection: Connection, now: int) -> list[Silent]:
    newest: dict[str, LatestReading] = {}
    for reading in readings.newest(connection):
        known = newest.get(reading.device)
        if known is None or reading.received_at > known.received_at:
            newest[reading.device] = reading
    series = {(one.device, one.metric): one.id for one in devices.every_series(connection)}

    def usual_ms(reading: LatestReading) -> int | None:
        return habit(history.last(connection, series[reading.device, reading.metric], _HABIT).ts[::-1].tolist())

    found = []
    for device in devices.every(connection):
        last = newest.get(device.name)
        quiet = last is not None and now - last.received_at > _SILENT_AFTER_MS
        silent = judge(
            device, last, usual_ms(last) if last is not None and (quiet or gone(device, last)) else None, now
        )
        if silent is not None:
            found.append(silent)
    return sorted(found, key=lambda one: one.since)


def habit(newest_first: Sequence[int]) -> int | None:
    """How far apart readings usually are, in ms: the median of their distances, None for fewer than two."""
    distances = [later - earlier for later, earlier in pairwise(newest_first)]
    return round(median(distances)) if distances else None


def gone(device: Device, last: LatestReading | None) -> bool:
    """Whether its last status is `offline` and no reading came after it."""
    if device.online is not False or device.status_at is None:
        return False
    return last is None or last.received_at <= device.status_at


def judge(device: Device, last: LatestReading | None, usual_ms: int | None, now: int) -> Silent | None:
    """Whether a device is silent: because it said that it goes, or because it is long past its habit."""
    since = device.last_seen if last is None else last.received_at
    if since == 0:  # somebody made it, and it was never heard
        return None
    if gone(device, last):
        return Silent(device.name, since, usual_ms, offline=True)
    patience = max(_SILENT_AFTER_MS, _SILENT_AFTER_INTERVALS * (usual_ms or 0))
    if now - since <= patience or (last is None and device.online):
        return None
    return Silent(device.name, since, usual_ms, offline=False)


def _compare(connection: Connection, sent: Sequence[Sent], seen: Mapping[Start, Sequence[Interval]]) -> Comparison:
    return published.compare(sent, published.Numbers(seen), _Held(connection, (one.device for one in sent)))


class _Held:
    """What the tables hold of the devices that a publisher names."""

    def __init__(self, connection: Connection, names: Iterable[str]) -> None:
        self._connection = connection
        wanted = set(names)
        self._series: dict[str, dict[str, int]] = {}
        for one in devices.every_series(connection):
            if one.device in wanted:
                self._series.setdefault(one.device, {})[one.metric] = one.id

    def at(self, places: Iterable[tuple[str, str | None, int]]) -> dict[tuple[str, str | None, int], list[float]]:
        """Values by (device, metric or None for any, ts)."""
        places = list(places)
        keys = {(series_id, ts) for device, metric, ts in places for series_id in self._ids(device, metric)}
        stored = history.values_at(self._connection, keys)
        return {
            (device, metric, ts): [
                stored[series_id, ts] for series_id in self._ids(device, metric) if (series_id, ts) in stored
            ]
            for device, metric, ts in places
        }

    def count(self, device: str, metric: str | None, wanted: Iterable[float]) -> dict[float, int]:
        """How often each of these values stands in the metric, or in all metrics, of a device."""
        found = dict.fromkeys(wanted, 0)
        for series_id in self._ids(device, metric):
            for piece in history.raw_pieces(self._connection, series_id, 0, _EVER):
                for value, times in zip(*np.unique(piece.value, return_counts=True), strict=True):
                    if value in found:
                        found[value] += int(times)
        return found

    def _ids(self, device: str, metric: str | None) -> list[int]:
        metrics = self._series.get(device, {})
        if metric is None:
            return list(metrics.values())
        return [metrics[metric]] if metric in metrics else []
