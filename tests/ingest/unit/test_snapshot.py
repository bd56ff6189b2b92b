from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.series import BIN_MS, BINS, Bin, SeriesNow, grown
from ingest.snapshot import (
    AboutChange,
    Board,
    Change,
    DeviceNow,
    ReadingChange,
    Snapshot,
    StateChange,
    StatusChange,
    apply,
)

#: The start of a bin.
T = 1_764_000_000_000
EMPTY = Snapshot(1, 0, {})


def _reading(ts: int, value: float = 1.0, device: str = "kitchen", metric: str = "x", late: int = 0) -> ReadingChange:
    return ReadingChange(device, metric, ts, value, ts + late)


def _device(*changes: Change, name: str = "kitchen") -> DeviceNow:
    """A device after these changes, each of them a batch."""
    snapshot = EMPTY
    for change in changes:
        snapshot = apply(snapshot, [change])
    return snapshot.devices[name]


def _series(*changes: Change) -> SeriesNow:
    return _device(*changes).metrics["x"]


def _about(**fields: object) -> AboutChange:
    given: dict[str, object] = {"model": None, "firmware": None, "units": {}, "actuators": {}, "at": T} | fields
    return AboutChange("kitchen", **given)  # type: ignore[arg-type]


# Immutable, and versions


def test_a_batch_leaves_the_snapshot_before_it_as_it_was() -> None:
    changes: list[Change] = [
        _reading(T),
        StatusChange("kitchen", True, T),
        StateChange("kitchen", "led", "ON", T),
        _reading(T, 2, "b"),
    ]
    before = apply(EMPTY, [*changes, _about(units={"x": "°C"}, actuators={"led": None})])
    as_it_was = deepcopy(before)
    after = apply(
        before,
        [
            _reading(T + 1, 9.0),
            _reading(T + 1, 9.0, metric="y"),
            StatusChange("kitchen", False, T + 1),
            StateChange("kitchen", "led", "OFF", T + 1),
            _about(units={"x": "K", "z": "%"}, actuators={"fan": "%"}),
            _reading(T, device="new"),
        ],
    )
    assert before == as_it_was
    assert EMPTY.devices == {}
    assert after.version == before.version + 1
    assert after.devices["b"] is before.devices["b"], "what did not change is not made anew"


def test_parts_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        EMPTY.version = 5  # type: ignore[misc]


def test_nothing_to_change_is_the_same_snapshot() -> None:
    assert apply(EMPTY, []) is EMPTY


def test_each_part_has_the_version_it_changed_at() -> None:
    one = apply(EMPTY, [_reading(T), _reading(T, device="b"), StatusChange("kitchen", True, T)])
    two = apply(one, [_reading(T + 1, metric="y")])
    kitchen = two.devices["kitchen"]
    assert (one.version, two.version) == (1, 2)
    assert (kitchen.version, kitchen.presence_version) == (2, 1)
    assert (kitchen.metrics["x"].version, kitchen.metrics["y"].version) == (1, 2)
    assert two.devices["b"].version == 1
    assert two.started_at == EMPTY.started_at


def test_changed_since() -> None:
    one = apply(EMPTY, [_reading(T), _reading(T, device="b")])
    two = apply(one, [_reading(T + 1)])
    assert [device.name for device in two.changed_since(0)] == ["kitchen", "b"]
    assert [device.name for device in two.changed_since(1)] == ["kitchen"]
    assert list(two.changed_since(2)) == []


CHANGES = st.builds(
    _reading, st.integers(T - 3 * BIN_MS, T + 3 * BIN_MS), st.floats(-9, 9), st.sampled_from(["a", "b"])
) | st.builds(StatusChange, st.sampled_from(["a", "b"]), st.booleans(), st.integers(T, T + 9))


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(st.lists(CHANGES, max_size=4), max_size=6))
def test_whoever_asks_what_is_newer_misses_nothing(batches: list[list[Change]]) -> None:
    snapshot, copy, sent = EMPTY, dict[str, DeviceNow](), 0
    for number, batch in enumerate(batches):
        before = deepcopy(snapshot)
        after = apply(snapshot, batch)
        assert snapshot == before
        assert after.version == snapshot.version + bool(batch)
        snapshot = after
        if number % 2:
            copy.update((device.name, device) for device in snapshot.changed_since(sent))
            sent = snapshot.version
    copy.update((device.name, device) for device in snapshot.changed_since(sent))
    assert copy == snapshot.devices


# Readings


def test_the_newest_reading_is_shown() -> None:
    series = _series(_reading(T, 1.0), _reading(T + 5, 2.0, late=7))
    assert (series.ts, series.value, series.received_at) == (T + 5, 2.0, T + 12)


def test_the_same_time_again_tells_when_it_was_received() -> None:
    """So a restart learns it: history knows times and values, `latest` the rest."""
    series = _series(_reading(T, 1.0), _reading(T, 1.0, late=7))
    assert (series.value, series.received_at) == (1.0, T + 7)


def test_a_late_reading_changes_history_alone() -> None:
    late = ReadingChange("kitchen", "x", T - BIN_MS, 7.0, T + 99)
    series = _series(_reading(T, 1.0), late)
    assert (series.ts, series.value, series.received_at) == (T, 1.0, T)
    assert series.bins == (Bin(T - BIN_MS, 7.0, 7.0, 7.0), Bin(T, 1.0, 1.0, 1.0))


def test_interval_is_learned_and_a_gap_does_not_spoil_it() -> None:
    assert _series(_reading(T)).interval_ms is None
    steady = [_reading(T + n * 1_000) for n in range(10)]
    assert _series(*steady).interval_ms == 1_000
    assert _series(*steady, _reading(T + 9_000)).interval_ms == 1_000, "the same time again is no distance"
    assert _series(*steady, _reading(T + 4_500)).interval_ms == 1_000, "a late one is no distance"
    after_a_gap = _series(*steady, _reading(T + 3_600_000))
    assert after_a_gap.interval_ms == 1_500
    new_habit = [_reading(T + 3_600_000 + n * 60_000) for n in range(30)]
    assert 40_000 < (_series(*steady, *new_habit).interval_ms or 0) <= 60_000


# Bins


def test_bins_hold_lowest_highest_and_last() -> None:
    series = _series(*(_reading(T + n, value) for n, value in enumerate([3.0, 1.0, 5.0, 4.0])))
    assert series.bins == (Bin(T, 1.0, 5.0, 4.0),)


def test_a_late_reading_widens_its_bin_and_is_not_its_last() -> None:
    series = _series(_reading(T, 3.0), _reading(T + BIN_MS, 3.0), _reading(T + 5, 9.0))
    assert series.bins[0] == Bin(T, 3.0, 9.0, 3.0)


def test_a_quarter_of_an_hour_is_kept() -> None:
    bins = _series(*(_reading(T + n * BIN_MS, float(n)) for n in range(BINS + 5))).bins
    assert (len(bins), bins[0].ts, bins[-1].ts) == (60, T + 5 * BIN_MS, T + 64 * BIN_MS)
    assert BINS * BIN_MS == 15 * 60_000


def test_after_a_long_gap_only_the_new_is_kept() -> None:
    assert len(_series(_reading(T), _reading(T + 3_600_000)).bins) == 1


def test_what_is_older_than_the_history_is_left_out() -> None:
    series = _series(_reading(T), _reading(T - BINS * BIN_MS))
    assert [one.ts for one in series.bins] == [T]
    assert len(_series(_reading(T), _reading(T - (BINS - 1) * BIN_MS)).bins) == 2


@settings(max_examples=300, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.integers(-80 * BIN_MS, 80 * BIN_MS), st.integers(-50, 50).map(float)), min_size=1, max_size=80
    ),
    batch=st.integers(1, 80),
)
def test_bins_lose_no_extreme_of_the_window(points: Sequence[tuple[int, float]], batch: int) -> None:
    series: SeriesNow | None = None
    for at in range(0, len(points), batch):
        of_batch = [(T + ts, value, T + ts) for ts, value in points[at : at + batch]]
        series = grown("kitchen", "x", None, series, of_batch, 1)
    assert series is not None
    bins = series.bins
    newest = max((T + ts) // BIN_MS * BIN_MS for ts, _ in points)
    expected: dict[int, list[float]] = {}
    front = 0
    for ts, value in points:
        start = (T + ts) // BIN_MS * BIN_MS
        front = max(front, start)
        if start > front - BINS * BIN_MS:
            expected.setdefault(start, []).append(value)
    kept = {start: values for start, values in expected.items() if start > newest - BINS * BIN_MS}
    assert {one.ts: (one.low, one.high) for one in bins} == {
        start: (min(values), max(values)) for start, values in kept.items()
    }
    assert [one.ts for one in bins] == sorted(kept)
    assert len(bins) <= BINS


# Rate


def _steady(interval_ms: int, messages: int, start: int = T) -> list[list[Change]]:
    """Messages of two metrics, a batch each."""
    times = [start + number * interval_ms for number in range(messages)]
    return [[_reading(ts), _reading(ts, metric="y")] for ts in times]


def _rates(*batches: list[Change]) -> list[float | None]:
    """Readings a minute after each batch."""
    snapshot, found = EMPTY, list[float | None]()
    for batch in batches:
        snapshot = apply(snapshot, batch)
        found.append(snapshot.devices["kitchen"].rate.per_minute)
    return found


@pytest.mark.parametrize(
    ("interval_ms", "per_minute"), [(100, 1200.0), (700, 171.0), (5_000, 24.0), (45_000, 2.7), (300_000, 0.4)]
)
def test_a_rate_is_readings_a_minute_whether_fast_or_slow(interval_ms: int, per_minute: float) -> None:
    assert _rates(*_steady(interval_ms, 2 + 200_000 // interval_ms))[-1] == per_minute


def test_a_first_rate_comes_after_15_seconds_and_the_next_after_a_minute() -> None:
    """Twice as much from the 16th second on: told when the minute after the first guess is over."""
    rates = _rates(*_steady(5_000, 4), *_steady(2_500, 24, start=T + 17_500))
    assert rates[:4] == [None, None, None, 24.0]
    assert rates[-2:] == [24.0, 48.0]


def test_readings_of_the_past_count_when_they_arrive() -> None:
    backlog: list[Change] = [ReadingChange("kitchen", "x", T - n, 1.0, T + 30_000) for n in range(50)]
    assert _rates([_reading(T)], backlog)[-1] == 100.0


def test_after_a_long_silence_or_a_step_of_our_clock_there_is_no_rate_yet() -> None:
    steady = _steady(5_000, 4)
    assert _rates(*steady, *_steady(5_000, 4, start=T + 1_000_000))[-4:] == [None, None, None, 24.0]
    assert _rates(*steady, *_steady(5_000, 4, start=T - 1_000_000))[-4:] == [None, None, None, 24.0]


def test_another_rate_is_news_of_the_device_and_the_same_one_is_none() -> None:
    snapshot, told = EMPTY, list[int]()
    for batch in _steady(5_000, 30):
        snapshot = apply(snapshot, batch)
        if snapshot.devices["kitchen"].presence_version == snapshot.version:
            told.append(snapshot.version)
    assert told == [1, 4]


def test_what_is_but_the_newest_of_several_readings_gives_no_rate() -> None:
    snapshot = EMPTY
    for batch in _steady(5_000, 5):
        snapshot = apply(snapshot, batch, every_reading=False)
    assert snapshot.devices["kitchen"].rate.per_minute is None


# Presence


def test_presence_follows_the_status() -> None:
    assert _device(_reading(T)).online is None
    online = _device(StatusChange("kitchen", True, T))
    assert (online.online, online.status_at, online.last_seen) == (True, T, T)
    assert _device(StatusChange("kitchen", True, T), StatusChange("kitchen", False, T + 1)).online is False


def test_traffic_after_offline_proves_it_wrong() -> None:
    offline = StatusChange("kitchen", False, T)
    assert _device(offline, _reading(T + 1)).online is True
    assert _device(offline, _reading(T + 1)).presence_version == 2
    assert _device(offline, ReadingChange("kitchen", "x", T + 5, 1.0, T)).online is False, "received before it"
    assert _device(offline, _about(at=T + 1)).online is False, "what a broker retains is no traffic"
    assert _device(offline, StateChange("kitchen", "led", "ON", T + 1)).online is False


def test_the_same_status_again_is_no_change_of_presence() -> None:
    device = _device(StatusChange("kitchen", True, T), StatusChange("kitchen", True, T + 9))
    assert (device.presence_version, device.status_at, device.last_seen) == (1, T + 9, T + 9)


def test_last_seen_never_goes_back() -> None:
    assert _device(_reading(T + 9), _reading(T)).last_seen == T + 9


# About and state


def test_units_that_came_before_the_first_reading() -> None:
    assert _series(_about(units={"x": "°C"}), _reading(T)).unit == "°C"
    assert _series(_reading(T), _about(units={"x": "°C"})).unit == "°C"
    assert _series(_about(units={"x": "°C"}), _about(units={"y": "%"}), _reading(T)).unit == "°C"


def test_a_unit_in_the_same_batch_as_the_first_reading() -> None:
    snapshot = apply(EMPTY, [_about(units={"x": "°C"}), _reading(T)])
    assert snapshot.devices["kitchen"].metrics["x"].unit == "°C"


def test_a_new_unit_is_a_change_of_its_series_alone() -> None:
    device = _device(_reading(T), _reading(T, metric="y"), _about(units={"x": "K"}))
    assert (device.metrics["x"].unit, device.metrics["x"].version) == ("K", 3)
    assert device.metrics["y"].version == 2


def test_about_keeps_what_it_does_not_name() -> None:
    device = _device(_about(model="m", firmware="1"), _about(firmware="2", actuators={"fan": "%"}))
    assert (device.model, device.firmware) == ("m", "2")
    assert (device.actuators["fan"].unit, device.actuators["fan"].state) == ("%", None)


def test_a_state_keeps_the_unit_and_an_about_the_state() -> None:
    device = _device(
        _about(actuators={"fan": "%"}), StateChange("kitchen", "fan", "40", T + 5), _about(actuators={"fan": "rpm"})
    )
    fan = device.actuators["fan"]
    assert (fan.state, fan.since, fan.unit) == ("40", T + 5, "rpm")


def test_the_same_state_again_keeps_since_when() -> None:
    states = [StateChange("kitchen", "led", state, T + n) for n, state in enumerate(["ON", "ON", "OFF", "OFF"])]
    led = _device(*states).actuators["led"]
    assert (led.state, led.since, led.version) == ("OFF", T + 2, 3)


# The board


def test_listeners_are_told_of_each_swap_until_they_stop() -> None:
    board, heard = Board(EMPTY), list[tuple[str, int]]()
    stop_a = board.listen(lambda: heard.append(("a", board.current.version)))
    stop_b = board.listen(lambda: heard.append(("b", board.current.version)))
    board.swap(apply(board.current, [_reading(T)]))
    stop_a()
    stop_a()
    board.notify()
    stop_b()
    board.swap(apply(board.current, [_reading(T)]))
    assert heard == [("a", 1), ("b", 1), ("b", 1)]
    assert board.current.version == 2


def test_a_listener_may_stop_while_it_is_told() -> None:
    board, heard = Board(EMPTY), list[str]()

    def once() -> None:
        heard.append("once")
        stop()

    stop = board.listen(once)
    board.listen(lambda: heard.append("always"))
    board.notify()
    board.notify()
    assert heard == ["once", "always", "always"]


def test_no_listener_is_forgotten_when_many_come_and_go_at_once() -> None:
    board, heard = Board(EMPTY), list[int]()

    def come_and_go(number: int) -> None:
        for _ in range(200):
            board.listen(lambda: None)()
        board.listen(lambda: heard.append(number))

    threads = [threading.Thread(target=come_and_go, args=(n,), name=f"viewer-{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    board.notify()
    assert sorted(heard) == [0, 1, 2, 3]


def test_what_the_broker_retained_is_no_sign_of_life() -> None:
    seen = apply(Snapshot(1, 0, {}), [StatusChange("cellar", False, 100)])
    changes: list[Change] = [
        StatusChange("cellar", False, 900, retained=True),
        AboutChange("cellar", "m", None, {}, {"led": None}, 900, retained=True),
        StateChange("cellar", "led", "ON", 900, retained=True),
    ]
    cellar = apply(seen, changes).devices["cellar"]
    assert (cellar.last_seen, cellar.status_at, cellar.online) == (100, 100, False)
    assert (cellar.model, cellar.actuators["led"].state) == ("m", "ON")
