"""What becomes of each reading of a batch: new, duplicate or conflict. Pure: no database, no clock, no thread.

The rules are CONTRACT's "Time, identity, the account". They run on what is known of the database's rows. A first try
knows nothing and takes every key for free, those of the batch's own repetitions too, which nearly always holds and
saves asking; where the database then takes fewer rows than there are, the batch is placed again with what is there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from db import readings, receipts
from db.account import SeenRange, Tally
from db.dead_letters import DeadLetter
from db.readings import Sample
from ingest.dialects.decoded import Decoded
from ingest.message import Message
from ingest.series import Measured
from ingest.snapshot import ReadingsChange

#: Marks a boot label that we made up for a device that sends none. No device can send it: '~' is followed by ms.
OWN_BOOT: Final = "~"
#: Where a count of readings or messages keeps what; the last is a part of the rejected.
_STORED, _DUPLICATE, _REJECTED, _CONFLICTS = range(4)
_OUTCOMES: Final[tuple[Literal["stored", "duplicate", "rejected"], ...]] = ("stored", "duplicate", "rejected")


#: The newest value of a device's metric, None where there is none.
Newest = Callable[[str, str], float | None]


@dataclass(frozen=True, slots=True)
class Boot:
    """The present start of a device that sends no `boot`: our label for it, and its last sequence number."""

    label: str
    seq: int


@dataclass(frozen=True, slots=True)
class Ids:
    """Numbers of devices by name, and of series by device id and metric: enough for the whole batch."""

    devices: Mapping[str, int]
    series: Mapping[int, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Known:
    """What the database holds of the keys a batch wants: values of readings, digests of receipts, newest values."""

    readings: Mapping[readings.Key, float] = field(default_factory=dict)
    receipts: Mapping[receipts.Key, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one message and of so many of its readings, with the sentences of its dead letter.

    `conflicts`: how many of the rejected contradict a value that was stored first.
    """

    outcome: Literal["stored", "duplicate", "rejected"]
    stored: int
    duplicate: int
    rejected: int
    conflicts: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where everything of a batch goes. `rows` are the readings that go in, and `new` the same, by device."""

    rows: Sequence[readings.Row]
    new: Sequence[ReadingsChange]
    receipts: Mapping[receipts.Key, int]
    dead_letters: Sequence[DeadLetter]
    seen: Sequence[SeenRange]
    boots: Mapping[int, Boot]
    tally: Tally
    #: Those of the messages that are reports, in order of arrival.
    reports: Sequence[Decoded]
    #: Keys whose time is ours: where they are taken, the next free ms is used.
    own_time: frozenset[readings.Key]
    #: One a message, in order of arrival, where they were asked for.
    verdicts: Sequence[Verdict] = ()


def place(
    batch: Sequence[Decoded],
    ids: Ids,
    boots: Mapping[int, Boot],
    newest: Newest,
    known: Known | None,
    *,
    verdicts: bool = False,
) -> Placed:
    """Place a batch, in order of arrival.

    Args:
        batch: What arrived, decoded.
        ids: Numbers of every device and series in it.
        boots: Present starts, by device id, of devices that send no `boot`.
        newest: Newest values, for retained messages that carry no time.
        known: Rows that are there already; None on the first try, which takes every key for free.
        verdicts: Whether to tell what became of each message, which takes longer.

    Raises:
        KeyError: If a device or series has no number.
    """
    work = _Work(ids, newest, known or Known(), dict(boots))
    told: list[Verdict] = []
    for decoded in batch:
        if verdicts:
            told.append(work.take(decoded))
        elif known is not None or not work.take_plain(decoded):
            work.take(decoded)
    return Placed(
        work.rows,
        [ReadingsChange(device, one.new) for device, one in work.devices.items() if one.new],
        work.receipts,
        work.dead_letters,
        work.seen_ranges(),
        {device: boot for device, boot in work.boots.items() if boots.get(device) != boot},
        Tally(*work.messages, *work.readings),
        work.reports,
        frozenset(work.own_time),
        told,
    )


class _Device(msgspec.Struct, gc=False):
    """A device while a batch is placed: its number, those of its series by metric, what is new of it.

    `boot`, `first` and `last`: sequence numbers that followed each other without a gap since its first one.
    """

    id: int
    series: Mapping[str, int]
    new: list[Measured]
    boot: str | None = None
    first: int = 0
    last: int = 0


class _Work:
    """One pass over a batch."""

    def __init__(self, ids: Ids, newest: Newest, known: Known, boots: dict[int, Boot]) -> None:
        self.ids, self.newest, self.known, self.boots = ids, newest, known, boots
        self.rows: list[readings.Row] = []
        self.devices: dict[str, _Device] = {}
        self.receipts: dict[receipts.Key, int] = {}
        self.dead_letters: list[DeadLetter] = []
        self.reports: list[Decoded] = []
        self.own_time: set[readings.Key] = set()
        self.messages = [0, 0, 0]
        self.readings = [0, 0, 0]
        self._taken: dict[readings.Key, float] = {}
        self._free_from: dict[readings.Key, int] = {}
        #: Numbers that were seen and follow no other, by device and boot.
        self._scattered: dict[tuple[int, str], list[int]] = {}

    def take_plain(self, decoded: Decoded) -> bool:
        """Place a message as nearly all are: one sample with its time, nothing wrong with it. False for any other.

        It asks for no key. What a message costs here is a good part of what a message costs.
        """
        if len(decoded.samples) != 1 or decoded.problems or decoded.rejected:
            return False
        sample = decoded.samples[0]
        device, values, ts, seq, boot = sample.device, sample.values, sample.ts, sample.seq, sample.boot
        if ts is None or not values or (boot is None and seq is not None):
            return False
        found = self.devices.get(device) or self._device(device)
        for metric, value in values:
            self.rows.append((found.series[metric], ts, value))
        found.new.append((ts, values, decoded.message.received_at))
        if seq is not None and boot is not None:
            if seq == found.last + 1 and boot == found.boot:
                found.last = seq
            else:
                self._note(found, boot, seq)
        self.messages[_STORED] += 1
        self.readings[_STORED] += len(values)
        return True

    def _device(self, device: str) -> _Device:
        device_id = self.ids.devices[device]
        found = self.devices[device] = _Device(device_id, self.ids.series.get(device_id, {}), [])
        return found

    def take(self, decoded: Decoded) -> Verdict:
        """Place one message: its readings, its place in the account, its dead letter."""
        counts = [0, 0, decoded.rejected, 0]
        problems = list(decoded.problems)
        for sample in decoded.samples:
            self._sample(sample, decoded.message, counts, problems)
        if decoded.report is not None:
            self.reports.append(decoded)
        if counts[_STORED] or decoded.report is not None:
            verdict = _STORED
        elif counts[_DUPLICATE] and not counts[_REJECTED]:
            verdict = _DUPLICATE
        else:
            verdict = _REJECTED
        self.messages[verdict] += 1
        for place_of in (_STORED, _DUPLICATE, _REJECTED):
            self.readings[place_of] += counts[place_of]
        if problems and verdict != _DUPLICATE:  # of a duplicate, the first left its letter
            message = decoded.message
            reason = "; ".join(problems)
            at, topic, payload, size = message.received_at, message.topic, message.payload, message.size
            self.dead_letters.append(
                DeadLetter(at, topic, payload, size, reason, message.retained, counts[_STORED], counts[_DUPLICATE])
            )
        stored, duplicate, rejected, conflicts = counts
        return Verdict(_OUTCOMES[verdict], stored, duplicate, rejected, conflicts, tuple(problems))

    def _sample(self, sample: Sample, message: Message, counts: list[int], problems: list[str]) -> None:
        """Place the sample's readings and count what became of them."""
        device = self.devices.get(sample.device) or self._device(sample.device)
        if sample.seq is not None and self._recognise(sample, device, sample.seq, message):
            counts[_DUPLICATE] += len(sample.values)
        elif sample.ts is not None:
            self._at_its_time(sample, device, sample.ts, message.received_at, counts, problems)
        elif message.retained:
            self._retained(sample, counts, problems)
        else:
            self._at_our_time(sample, device, message.received_at, counts)

    def _recognise(self, sample: Sample, device: _Device, seq: int, message: Message) -> bool:
        """Note the number as seen; whether the message is a repetition, as its receipt tells."""
        boot = sample.boot
        if boot is None and message.retained:
            return False  # it is old: no new start, and under which one it was sent can't be told
        if boot is None:
            boot = self._own_boot(device, seq, message)
        self._note(device, boot, seq)
        if sample.ts is not None or not sample.values:
            return False
        key = (device.id, boot, seq)
        there = key in self.receipts or key in self.known.receipts
        if not there and not message.retained:
            self.receipts[key] = zlib.crc32(message.payload)
        return there and (sample.boot is not None or message.redelivered or message.retained)

    def _note(self, device: _Device, boot: str, seq: int) -> None:
        if device.boot is None:
            device.boot, device.first, device.last = boot, seq, seq
        elif device.boot == boot and seq == device.last + 1:
            device.last = seq
        else:
            self._scattered.setdefault((device.id, boot), []).append(seq)

    def _own_boot(self, device: _Device, seq: int, message: Message) -> str:
        """The label of the present start of a device that sends none: a fall of `seq` begins a new one.

        A redelivered message may fall back without a restart. It is the old one if the same number came with the same
        payload; else the device restarted while we were away.
        """
        boot = self.boots.get(device.id)
        if boot is not None and seq <= boot.seq and message.redelivered:
            key = (device.id, boot.label, seq)
            if self.receipts.get(key, self.known.receipts.get(key)) == zlib.crc32(message.payload):
                return boot.label
        begins = boot is None or seq <= boot.seq
        label = self._new_label(device, message.received_at) if begins or boot is None else boot.label
        self.boots[device.id] = Boot(label, seq)
        return label

    def _new_label(self, device: _Device, now: int) -> str:
        label, number = f"{OWN_BOOT}{now}", 0
        present = self.boots.get(device.id)
        taken = {device.boot, None if present is None else present.label}
        while label in taken or (device.id, label) in self._scattered:
            number += 1
            label = f"{OWN_BOOT}{now}.{number}"
        return label

    def _at_its_time(
        self, sample: Sample, device: _Device, ts: int, received_at: int, counts: list[int], problems: list[str]
    ) -> None:
        taken, known = self._taken, self.known.readings
        free: list[tuple[str, float]] = []
        for metric, value in sample.values:
            key = (device.series[metric], ts)
            there = taken.get(key)
            if there is None and known:
                there = known.get(key)
            if there is None:
                taken[key] = value
                free.append((metric, value))
            elif there == value:
                counts[_DUPLICATE] += 1
            else:
                which = f"{metric}: {value!r} at {_clock(ts)}"
                problems.append(f"{which} contradicts {there!r}, which was stored first and stays")
                counts[_REJECTED] += 1
                counts[_CONFLICTS] += 1
        if free:
            counts[_STORED] += len(free)
            self._store(device, (ts, tuple(free), received_at))

    def _at_our_time(self, sample: Sample, device: _Device, received_at: int, counts: list[int]) -> None:
        for metric, value in sample.values:
            series_id = device.series[metric]
            ts = received_at - sample.age
            wanted = (series_id, ts)
            ts = self._free_from.get(wanted, ts)  # all of a batch may want the same ms: none looks where others did
            while (series_id, ts) in self._taken or (series_id, ts) in self.known.readings:
                ts += 1
            self._free_from[wanted] = ts + 1
            self.own_time.add((series_id, ts))
            self._taken[series_id, ts] = value
            self._store(device, (ts, ((metric, value),), received_at))
        counts[_STORED] += len(sample.values)

    def _store(self, device: _Device, measured: Measured) -> None:
        ts, values, _ = measured
        self.rows += [(device.series[metric], ts, value) for metric, value in values]
        device.new.append(measured)

    def _retained(self, sample: Sample, counts: list[int], problems: list[str]) -> None:
        """A retained reading without a time is of unknown age: a duplicate if it is the newest value, else refused."""
        for metric, value in sample.values:
            if self.newest(sample.device, metric) == value:
                counts[_DUPLICATE] += 1
            else:
                problems.append(
                    f"{metric}: {value!r} was retained by the broker and carries no ts, so its time is unknown"
                )
                counts[_REJECTED] += 1

    def seen_ranges(self) -> list[SeenRange]:
        """Numbers seen, as ranges."""
        found: list[SeenRange] = []
        for one in self.devices.values():
            if one.boot is None:
                continue
            others = self._scattered.pop((one.id, one.boot), None) if self._scattered else None
            if others is None:
                found.append((one.id, one.boot, one.first, one.last))
            else:
                numbers = [*range(one.first, one.last + 1), *others]
                found += [(one.id, one.boot, first, last) for first, last in _ranges(numbers)]
        for start, numbers in self._scattered.items():  # of devices that began anew meanwhile
            found += [(*start, first, last) for first, last in _ranges(numbers)]
        return found


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of consecutive numbers, lowest first."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
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
