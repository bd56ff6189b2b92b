"""What becomes of each reading of a batch: new, duplicate or conflict. Pure: no database, no clock, no thread.

The rules are CONTRACT's "Time, identity, the account". They run on what is known of the database's rows. A first try
knows nothing and takes every key for free, which nearly always holds and saves asking; where the database then has
fewer free keys than rows, the batch is placed again with what is there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from db import readings, receipts
from db.account import SeenRange, Tally
from db.dead_letters import DeadLetter
from db.readings import Sample
from ingest.dialects.decoded import Decoded

#: Marks a boot label that we made up for a device that sends none. No device can send it: '~' is followed by ms.
OWN_BOOT = "~"


@dataclass(frozen=True, slots=True)
class Boot:
    """The present start of a device that sends no `boot`: our label for it, and its last sequence number."""

    label: str
    seq: int


@dataclass(frozen=True, slots=True)
class Ids:
    """Numbers of devices by name and of series by (device id, metric): enough for the whole batch."""

    devices: Mapping[str, int]
    series: Mapping[tuple[int, str], int]


@dataclass(frozen=True, slots=True)
class Known:
    """What the database holds of the keys a batch wants: values of readings, digests of receipts, newest values."""

    readings: Mapping[readings.Key, float] = field(default_factory=dict)
    receipts: Mapping[receipts.Key, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewReading:
    """A reading that goes in: its series by number and by name, its time and value."""

    series_id: int
    device: str
    metric: str
    ts: int
    value: float
    received_at: int


@dataclass(frozen=True, slots=True)
class Placed:
    """Where everything of a batch goes."""

    new: Sequence[NewReading]
    receipts: Mapping[receipts.Key, int]
    dead_letters: Sequence[DeadLetter]
    seen: Sequence[SeenRange]
    boots: Mapping[int, Boot]
    tally: Tally
    #: Keys whose time is ours: where they are taken, the next free ms is used.
    own_time: frozenset[readings.Key]


def place(
    batch: Sequence[Decoded],
    ids: Ids,
    boots: Mapping[int, Boot],
    latest: Mapping[int, float],
    known: Known,
) -> Placed:
    """Place a batch, in order of arrival.

    Args:
        batch: What arrived, decoded.
        ids: Numbers of every device and series in it.
        boots: Present starts, by device id, of devices that send no `boot`.
        latest: Newest value by series id, for retained messages that carry no time.
        known: Rows that are there already; empty on the first try.
    """
    work = _Work(ids, latest, known, dict(boots))
    for decoded in batch:
        work.take(decoded)
    return Placed(
        work.new,
        work.receipts,
        work.dead_letters,
        work.seen_ranges(),
        {device: boot for device, boot in work.boots.items() if boots.get(device) != boot},
        work.tally,
        frozenset(work.own_time),
    )


class _Work:
    """One pass over a batch."""

    def __init__(self, ids: Ids, latest: Mapping[int, float], known: Known, boots: dict[int, Boot]) -> None:
        self.ids, self.latest, self.known, self.boots = ids, latest, known, boots
        self.new: list[NewReading] = []
        self.receipts: dict[receipts.Key, int] = {}
        self.dead_letters: list[DeadLetter] = []
        self.own_time: set[readings.Key] = set()
        self.tally = Tally()
        self._taken: dict[readings.Key, float] = {}
        self._free_from: dict[readings.Key, int] = {}
        self._seen: dict[tuple[int, str], list[int]] = {}

    def take(self, decoded: Decoded) -> None:
        """Place one message: its readings, its place in the account, its dead letter."""
        stored = duplicate = 0
        rejected = decoded.rejected
        problems = list(decoded.problems)
        for sample in decoded.samples:
            a, b, c = self._sample(sample, decoded, problems)
            stored, duplicate, rejected = stored + a, duplicate + b, rejected + c
        if stored or decoded.report is not None:
            verdict = Tally(stored=1)
        elif duplicate and not rejected:
            verdict = Tally(duplicate=1)
        else:
            verdict = Tally(rejected=1)
        self.tally += replace(verdict, readings_stored=stored, readings_duplicate=duplicate, readings_rejected=rejected)
        if problems and not verdict.duplicate:  # of a duplicate, the first left its letter
            message = decoded.message
            reason = "; ".join(problems)
            at, topic, payload, size = message.received_at, message.topic, message.payload, message.size
            self.dead_letters.append(DeadLetter(at, topic, payload, size, reason, message.retained, stored, duplicate))

    def _sample(self, sample: Sample, decoded: Decoded, problems: list[str]) -> tuple[int, int, int]:
        """How many of the sample's readings are stored, duplicate, rejected."""
        device_id = self.ids.devices[sample.device]
        repeated = False
        if sample.seq is not None:
            repeated = self._recognise(sample, device_id, sample.seq, decoded)
        if repeated:
            return 0, len(sample.values), 0
        counts = [0, 0, 0]
        for metric, value in sample.values:
            series_id = self.ids.series[device_id, metric]
            if sample.ts is not None:
                outcome = self._at_its_time(sample, series_id, metric, sample.ts, value, decoded, problems)
            elif decoded.message.retained:
                outcome = self._retained(series_id, metric, value, problems)
            else:
                outcome = self._at_our_time(sample, series_id, metric, value, decoded)
            counts[outcome] += 1
        return counts[0], counts[1], counts[2]

    def _recognise(self, sample: Sample, device_id: int, seq: int, decoded: Decoded) -> bool:
        """Note the number as seen; whether the message is a repetition, as its receipt tells."""
        redelivered, retained = decoded.message.redelivered, decoded.message.retained
        digest = zlib.crc32(decoded.message.payload)
        boot = sample.boot
        if boot is None and retained:  # it is old: no new start, and under which one it was sent can't be told
            return False
        if boot is None:
            boot = self._own_boot(device_id, seq, digest, redelivered, decoded.message.received_at)
        self._seen.setdefault((device_id, boot), []).append(seq)
        if sample.ts is not None or not sample.values:
            return False
        key = (device_id, boot, seq)
        there = key in self.receipts or key in self.known.receipts
        if not there and not retained:
            self.receipts[key] = digest
        return there and (sample.boot is not None or redelivered or retained)

    def _own_boot(self, device_id: int, seq: int, digest: int, redelivered: bool, now: int) -> str:
        """The label of the present start of a device that sends none: a fall of `seq` begins a new one.

        A redelivered message may fall back without a restart. It is the old one if the same number came with the same
        payload; else the device restarted while we were away.
        """
        boot = self.boots.get(device_id)
        if boot is not None and seq <= boot.seq and redelivered:
            key = (device_id, boot.label, seq)
            if self.receipts.get(key, self.known.receipts.get(key)) == digest:
                return boot.label
        begins = boot is None or seq <= boot.seq
        label = self._new_label(device_id, now) if begins or boot is None else boot.label
        self.boots[device_id] = Boot(label, seq)
        return label

    def _new_label(self, device_id: int, now: int) -> str:
        label, number = f"{OWN_BOOT}{now}", 0
        present = self.boots.get(device_id)
        while (device_id, label) in self._seen or (present is not None and present.label == label):
            number += 1
            label = f"{OWN_BOOT}{now}.{number}"
        return label

    def _at_its_time(
        self,
        sample: Sample,
        series_id: int,
        metric: str,
        ts: int,
        value: float,
        decoded: Decoded,
        problems: list[str],
    ) -> int:
        key = (series_id, ts)
        there = self._value_at(key)
        if there is None:
            self._add(key, sample.device, metric, value, decoded.message.received_at)
            return 0
        if there == value:
            return 1
        problems.append(f"{metric}: {value!r} at {_clock(ts)} contradicts {there!r}, which was stored first and stays")
        return 2

    def _at_our_time(self, sample: Sample, series_id: int, metric: str, value: float, decoded: Decoded) -> int:
        wanted = (series_id, decoded.message.received_at - sample.age)
        ts = self._free_from.get(wanted, wanted[1])  # all of a batch may want the same ms: none looks where others did
        while self._value_at((series_id, ts)) is not None:
            ts += 1
        self._free_from[wanted] = ts + 1
        self.own_time.add((series_id, ts))
        self._add((series_id, ts), sample.device, metric, value, decoded.message.received_at)
        return 0

    def _retained(self, series_id: int, metric: str, value: float, problems: list[str]) -> int:
        """A retained reading without a time is of unknown age: a duplicate if it is the newest value, else refused."""
        if self.latest.get(series_id) == value:
            return 1
        problems.append(f"{metric}: {value!r} was retained by the broker and carries no ts, so its time is unknown")
        return 2

    def _value_at(self, key: readings.Key) -> float | None:
        value = self._taken.get(key)
        return self.known.readings.get(key) if value is None else value

    def _add(self, key: readings.Key, device: str, metric: str, value: float, received_at: int) -> None:
        self._taken[key] = value
        self.new.append(NewReading(key[0], device, metric, key[1], value, received_at))

    def seen_ranges(self) -> list[SeenRange]:
        """Numbers seen, as ranges."""
        return [
            (device_id, boot, first, last)
            for (device_id, boot), numbers in self._seen.items()
            for first, last in _ranges(sorted(set(numbers)))
        ]


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _clock(ts: int) -> str:
    """UTC ms as ISO 8601; years that Python can't show as the bare number."""
    try:
        return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ts} ms"
