"""Any messages, in any batches, against a model of the database: nothing lost, nothing doubled, all told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from db.account import Tally
from ingest.dialects.decoded import Decoded
from ingest.placement import Boot, Ids, Known, Placed, place
from tests.ingest.unit.messages import NOW, decode, telemetry

METRICS = ("x", "y")
IDS = Ids({"kitchen": 1}, {1: {metric: n for n, metric in enumerate(METRICS)}})


@dataclass
class _Database:
    """What the worker and its database remember between two batches, as dicts."""

    readings: dict[tuple[int, int], float] = field(default_factory=dict)
    receipts: dict[tuple[int, str, int], int] = field(default_factory=dict)
    boots: dict[int, Boot] = field(default_factory=dict)
    newest: dict[int, float] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    letters: int = 0
    seen: set[tuple[str, int]] = field(default_factory=set)

    def store(self, batch: Sequence[Decoded]) -> None:
        known = Known(dict(self.readings), dict(self.receipts))
        placed = place(batch, IDS, dict(self.boots), self._newest, known)
        if not any(one.message.redelivered or one.message.retained for one in batch):
            self._try_without_asking(batch, placed)
        for series_id, ts, value in placed.rows:
            assert (series_id, ts) not in self.readings, "a key is taken twice"
            self.readings[series_id, ts] = value
            self.newest[series_id] = value
        assert not placed.receipts.keys() & self.receipts.keys()
        self.receipts.update(placed.receipts)
        self.boots.update(placed.boots)
        self.tally += placed.tally
        self.letters += len(placed.dead_letters)
        self.seen |= {(boot, seq) for _, boot, first, last in placed.seen for seq in range(first, last + 1)}

    def _newest(self, device: str, metric: str) -> float | None:
        return self.newest.get(IDS.series[IDS.devices[device]][metric])

    def _try_without_asking(self, batch: Sequence[Decoded], placed: Placed) -> None:
        """Where the database takes all rows of a first try, which knew nothing, it was placed rightly."""
        first = place(batch, IDS, dict(self.boots), self._newest, None)
        keys = [(series_id, ts) for series_id, ts, _ in first.rows]
        free = len(set(keys) - self.readings.keys()) == len(keys)
        if free and not first.receipts.keys() & self.receipts.keys():
            assert first == placed


def _store_in_batches(database: _Database, messages: Sequence[Decoded], sizes: Sequence[int]) -> None:
    left = list(messages)
    for size in sizes:
        batch, left = left[:size], left[size:]
        database.store(batch)
    database.store(left)


VALUES = st.dictionaries(st.sampled_from(METRICS), st.sampled_from([1, 2, "bad"]), min_size=1)
RESERVED = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers(NOW, NOW + 3) | st.just(-1),
        "age": st.integers(0, 2),
        "seq": st.integers(0, 4),
        "boot": st.sampled_from(["a", "b"]),
    },
)
OBJECTS = st.builds(lambda reserved, values: reserved | values, RESERVED, VALUES)
FLAGS = st.fixed_dictionaries(
    {"received_at": st.integers(NOW, NOW + 2), "retained": st.booleans(), "redelivered": st.booleans()}
)
LIVE = st.fixed_dictionaries({"received_at": st.integers(NOW, NOW + 2)})


def _telemetry(payload: Any, flags: dict[str, Any]) -> Decoded:
    return telemetry(payload, **flags)


TELEMETRY = st.builds(_telemetry, OBJECTS | st.lists(OBJECTS, max_size=3), FLAGS)
OTHERS = st.sampled_from(
    [decode("iot/kitchen/status", "online"), decode("iot/kitchen/status", "x"), decode("iot/kitchen/x", "1")]
)
SIZES = st.lists(st.integers(0, 5), max_size=6)


@settings(max_examples=400, deadline=None)
@given(messages=st.lists(TELEMETRY | OTHERS, max_size=14), sizes=SIZES)
def test_the_account_adds_up(messages: list[Decoded], sizes: list[int]) -> None:
    database = _Database()
    _store_in_batches(database, messages, sizes)
    tally = database.tally
    assert tally.stored + tally.duplicate + tally.rejected == len(messages)
    readings = tally.readings_stored + tally.readings_duplicate + tally.readings_rejected
    assert readings == sum(decoded.readings for decoded in messages)
    assert tally.readings_stored == len(database.readings)
    assert tally.rejected <= database.letters <= len(messages)


WITH_TS = st.builds(
    _telemetry,
    st.builds(
        lambda ts, values, more: {"ts": ts} | more | values,
        st.integers(NOW, NOW + 5),
        st.dictionaries(st.sampled_from(METRICS), st.sampled_from([1, 2]), min_size=1),
        st.fixed_dictionaries({}, optional={"seq": st.integers(0, 4), "boot": st.sampled_from(["a", "b"])}),
    ),
    FLAGS,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), messages=st.lists(WITH_TS, min_size=1, max_size=8), sizes=SIZES)
def test_what_has_a_ts_is_stored_once_however_often_it_comes_and_the_first_stays(
    data: st.DataObject, messages: list[Decoded], sizes: list[int]
) -> None:
    again = data.draw(st.lists(st.sampled_from(messages), max_size=10))
    database = _Database()
    _store_in_batches(database, [*messages, *again], sizes)
    first: dict[tuple[int, int], float] = {}
    for decoded in messages:
        for sample in decoded.samples:
            for metric, value in sample.values:
                assert sample.ts is not None
                first.setdefault((IDS.series[1][metric], sample.ts), value)
    assert database.readings == first


WITHOUT_TS = st.builds(
    _telemetry,
    st.builds(
        lambda values, more: more | values,
        st.dictionaries(st.sampled_from(METRICS), st.sampled_from([1, 2]), min_size=1),
        st.fixed_dictionaries({}, optional={"age": st.integers(0, 2), "seq": st.integers(0, 3)}),
    ),
    LIVE,
)


@settings(max_examples=300, deadline=None)
@given(messages=st.lists(WITHOUT_TS | WITH_TS, max_size=12), sizes=SIZES)
def test_what_has_no_ts_is_never_lost(messages: list[Decoded], sizes: list[int]) -> None:
    """Two equal values in the same ms are two rows, and a `seq` that falls is a device that started again."""
    database = _Database()
    _store_in_batches(database, messages, sizes)
    sent: Counter[tuple[int, float]] = Counter()
    for decoded in messages:
        for sample in decoded.samples:
            if sample.ts is None:
                sent.update((IDS.series[1][metric], value) for metric, value in sample.values)
    stored = Counter((series_id, value) for (series_id, _), value in database.readings.items())
    assert sent <= stored


NUMBERED = st.lists(
    st.tuples(st.sampled_from(["a", "b", "~"]), st.integers(0, 6), st.sampled_from([1, 2])),
    unique_by=lambda item: item[:2],
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), numbered=NUMBERED, sizes=SIZES)
def test_boot_and_seq_are_stored_once_however_often_they_come(
    data: st.DataObject, numbered: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    messages = [telemetry({"boot": boot, "seq": seq, "x": value}) for boot, seq, value in numbered]
    again = data.draw(st.lists(st.tuples(st.sampled_from(messages), st.booleans(), st.integers(0, 9)), max_size=10))
    repeated = [
        replace(sent, message=replace(sent.message, redelivered=redelivered, received_at=NOW + later))
        for sent, redelivered, later in again
    ]
    database = _Database()
    _store_in_batches(database, [*messages, *repeated], sizes)
    assert Counter(database.readings.values()) == Counter(float(value) for _, _, value in numbered)
    assert database.tally == Tally(len(messages), len(repeated), 0, len(messages), len(repeated), 0)
    assert database.seen == {(boot, seq) for boot, seq, _ in numbered}


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 8), unacknowledged=st.integers(1, 8), sizes=SIZES)
def test_a_board_without_boot_is_stored_once_over_a_lost_connection(
    count: int, unacknowledged: int, sizes: list[int]
) -> None:
    """The broker sends again, in order and marked, what we did not acknowledge; the board goes on meanwhile."""
    sent = [telemetry({"seq": seq, "x": seq}) for seq in range(count)]
    again = [replace(one, message=replace(one.message, redelivered=True)) for one in sent[-unacknowledged:]]
    database = _Database()
    _store_in_batches(database, [*sent, *again, telemetry({"seq": count, "x": count})], sizes)
    assert sorted(database.readings.values()) == [float(seq) for seq in range(count + 1)]
    assert database.tally.duplicate == len(again)
    assert len({boot for boot, _ in database.seen}) == 1
